-- Administration of those who are sent and of the phones that ring when nobody claims.

-- Two people edit the same row: the second is told instead of overwriting the first.
ALTER TABLE responder ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE duty_phone ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE escalation_policy ADD COLUMN version integer NOT NULL DEFAULT 1;

-- An account is one responder at most.
CREATE UNIQUE INDEX responder_account ON responder (user_id)
    WHERE user_id IS NOT NULL AND disabled_at IS NULL;

-- Going on or off duty with an account takes the responder along, whichever page or program did it.
CREATE FUNCTION responder_follows_duty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE responder SET on_duty = NEW.on_duty, version = version + 1
        WHERE user_id = NEW.id AND disabled_at IS NULL AND on_duty <> NEW.on_duty;
    RETURN NULL;
END $$;
CREATE TRIGGER responder_follows_duty AFTER UPDATE OF on_duty ON user_account
    FOR EACH ROW WHEN (OLD.on_duty IS DISTINCT FROM NEW.on_duty)
    EXECUTE FUNCTION responder_follows_duty();

-- A duty phone is one number, in however many divisions it stands: it is rung once at a time.
ALTER TABLE contact_attempt ADD COLUMN to_index bytea;
CREATE INDEX contact_attempt_duty ON contact_attempt (to_index, created_at)
    WHERE purpose = 'duty';
