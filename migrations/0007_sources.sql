-- Platforms that push frames of devices over HTTP, and the transports that came after MQTT and TCP.

-- One row a token. The token is random (256 bits), shown once; its SHA-256 is kept. `division` is
-- the prefix of the division codes whose devices it may speak for; '' is all of them.
CREATE TABLE ingest_source (
    id            uuid PRIMARY KEY,
    name          text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    codec         text NOT NULL,
    token_hash    bytea NOT NULL UNIQUE,
    division      text NOT NULL DEFAULT '' CHECK (division ~ '^[0-9]{0,12}$'),
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
CREATE UNIQUE INDEX ingest_source_live ON ingest_source (name) WHERE revoked_at IS NULL;

-- NOT VALID: the narrower rule held for all rows that are there; no need to read them under a lock.
ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_transport_check;
ALTER TABLE dead_letter ADD CONSTRAINT dead_letter_transport_check
    CHECK (transport IN ('mqtt', 'tcp', 'http', 'sip')) NOT VALID;
