-- What arrived: message identities, alarms, dead letters, state of the detection rules.

-- One row a message: the exactly-once mark. `identity` is made by ingest/identity.py.
CREATE TABLE ingest_message (
    device_no    bigint NOT NULL,
    identity     uuid NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (device_no, identity)
);
CREATE INDEX ingest_message_received ON ingest_message USING brin (received_at);

-- Alarms: what a device signalled or a rule found. A conclusion of ours or a word of the device.
-- `suppressed` says why an alarm is on record and nobody was called (paused device, elder away).
-- `identity` is that of the message in which a device signalled it: an alarm is stored apart from
-- the rest of its message, at once, and this is its own exactly-once mark.
CREATE TABLE alarm (
    id           uuid PRIMARY KEY,
    device_no    bigint REFERENCES device (no),
    elder_id     uuid REFERENCES elder (id),
    kind         text NOT NULL,
    severity     text NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'technical')),
    source       text NOT NULL CHECK (source IN ('device', 'rule', 'person')),
    device_time  timestamptz,
    received_at  timestamptz NOT NULL,
    seq          bigint,
    identity     uuid,
    test         boolean NOT NULL DEFAULT false,
    suppressed   text,
    lat          double precision,
    lon          double precision,
    position_at  timestamptz,
    position_accuracy_m double precision,
    detail       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX alarm_elder ON alarm (elder_id, received_at DESC);
CREATE INDEX alarm_device ON alarm (device_no, received_at DESC);
CREATE UNIQUE INDEX alarm_once ON alarm (device_no, identity, kind) WHERE identity IS NOT NULL;

-- Frames that could not be used. Nothing is thrown away: kept with its reason, replayable. The same
-- (reason, topic, payload) within an hour is one row with a count; `fingerprint` is its hash.
CREATE TABLE dead_letter (
    id            uuid PRIMARY KEY,
    received_at   timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    fingerprint   uuid NOT NULL,
    transport     text NOT NULL CHECK (transport IN ('mqtt', 'tcp')),
    codec         text,
    topic         text NOT NULL DEFAULT '',
    address       text NOT NULL DEFAULT '',
    payload       bytea NOT NULL,
    payload_size  integer NOT NULL,
    reason        text NOT NULL,
    detail        text NOT NULL,
    occurrences   integer NOT NULL DEFAULT 1,
    replay_requested_at timestamptz,
    replayed_at   timestamptz,
    replayed_by   uuid REFERENCES user_account (id),
    replay_note   text,
    discarded_at  timestamptz,
    discarded_by  uuid REFERENCES user_account (id),
    discard_note  text
);
CREATE INDEX dead_letter_open ON dead_letter (last_at DESC)
    WHERE replayed_at IS NULL AND discarded_at IS NULL;
CREATE INDEX dead_letter_last ON dead_letter (last_at DESC);
CREATE INDEX dead_letter_same ON dead_letter (fingerprint, received_at);

-- Conditions that the rules hold open (ISA-18.2: condition, not acknowledgement). Only what is not
-- normal has a row, so the table stays small. `subject` is e:<elder uuid> or d:<device no>.
CREATE TABLE detection_state (
    subject     text NOT NULL,
    rule        text NOT NULL,
    state       jsonb NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (subject, rule)
);
CREATE INDEX detection_state_rule ON detection_state (rule);

-- The last sign that somebody moved about: what the inactivity sweep measures from.
CREATE TABLE elder_activity (
    elder_id   uuid PRIMARY KEY REFERENCES elder (id) ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    device_no  bigint REFERENCES device (no),
    sign       text NOT NULL
);
CREATE INDEX elder_activity_at ON elder_activity (at);

-- When the ingest processes hear: silence of a device is judged only while somebody listened.
CREATE TABLE ingest_listening (
    instance  text PRIMARY KEY,
    since     timestamptz NOT NULL,
    at        timestamptz NOT NULL
);

-- See device_changed in 0003: what ingest knows of an elder is announced in the same way.
CREATE FUNCTION elder_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('registry', 'e:' || NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER elder_changed AFTER UPDATE OF division_code, lat, lon, archived_at ON elder
    FOR EACH ROW EXECUTE FUNCTION elder_changed();

CREATE FUNCTION elder_limits_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('registry', 'e:' || OLD.elder_id);
    ELSE
        PERFORM pg_notify('registry', 'e:' || NEW.elder_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER elder_threshold_changed AFTER INSERT OR UPDATE OR DELETE ON elder_threshold
    FOR EACH ROW EXECUTE FUNCTION elder_limits_changed();
CREATE TRIGGER elder_watch_changed AFTER INSERT OR UPDATE OR DELETE ON elder_watch
    FOR EACH ROW EXECUTE FUNCTION elder_limits_changed();
