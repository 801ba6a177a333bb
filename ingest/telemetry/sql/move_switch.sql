-- Everything is in reading_next: it takes the name, in one transaction, with writers kept out.
ALTER TABLE reading RENAME TO reading_partitioned;
ALTER INDEX reading_series RENAME TO reading_partitioned_series;
ALTER INDEX reading_time RENAME TO reading_partitioned_time;
ALTER TABLE reading_next RENAME TO reading;
ALTER INDEX reading_next_series RENAME TO reading_series;
ALTER INDEX reading_next_time RENAME TO reading_time;
-- The views are bound to the table, not to its name: bind them to the new one.
SELECT telemetry_define_views();
