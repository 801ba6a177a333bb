-- Remove what the move needed. Which table of readings is left is what the caller has decided.
DROP FUNCTION reading_move_note() CASCADE;
DROP FUNCTION reading_move_watch(regclass);
DROP FUNCTION reading_move_copy(regclass, boolean);
DROP FUNCTION reading_move_drain();
DROP TABLE reading_move, reading_move_late;
