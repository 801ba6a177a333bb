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
    test         boolean NOT NULL DEFAULT false,
    detail       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX alarm_elder ON alarm (elder_id, received_at DESC);
CREATE INDEX alarm_device ON alarm (device_no, received_at DESC);

-- Frames that could not be used. Nothing is thrown away: kept with its reason, replayable.
CREATE TABLE dead_letter (
    id            uuid PRIMARY KEY,
    received_at   timestamptz NOT NULL,
    transport     text NOT NULL,
    codec         text,
    topic         text NOT NULL DEFAULT '',
    address       text NOT NULL DEFAULT '',
    payload       bytea NOT NULL,
    payload_size  integer NOT NULL,
    reason        text NOT NULL,
    detail        text NOT NULL,
    occurrences   integer NOT NULL DEFAULT 1,
    replayed_at   timestamptz,
    replayed_by   uuid REFERENCES user_account (id),
    replay_note   text,
    discarded_at  timestamptz,
    discarded_by  uuid REFERENCES user_account (id)
);
CREATE INDEX dead_letter_open ON dead_letter (received_at DESC)
    WHERE replayed_at IS NULL AND discarded_at IS NULL;

-- Conditions that the rules hold open (ISA-18.2: condition, not acknowledgement). Only what is not
-- normal has a row, so the table stays small. `subject` is e:<elder uuid> or d:<device no>.
CREATE TABLE detection_state (
    subject     text NOT NULL,
    rule        text NOT NULL,
    state       jsonb NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (subject, rule)
);
