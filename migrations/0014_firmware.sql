-- Firmware of our own protocol: packages, staged roll-outs, and how far each device is.

-- The file lies in the data folder under its checksum (devices/firmware/shelf.py).
CREATE TABLE firmware_package (
    id            uuid PRIMARY KEY,
    profile       text NOT NULL,
    version       text NOT NULL CHECK (version ~ '^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$'),
    sha256        bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size          bigint NOT NULL CHECK (size > 0),
    file_name     text NOT NULL,
    notes         text NOT NULL DEFAULT '',
    uploaded_at   timestamptz NOT NULL,
    uploaded_by   uuid REFERENCES user_account (id),
    withdrawn_at  timestamptz,
    withdrawn_by  uuid REFERENCES user_account (id)
);
CREATE UNIQUE INDEX firmware_package_one ON firmware_package (profile, version)
    WHERE withdrawn_at IS NULL;

-- A roll-out goes through `steps`, shares of the devices in per cent; step 0 are the canaries, where
-- there are any. Devices of the division prefix alone. (devices/firmware/machine.py)
CREATE TABLE firmware_rollout (
    id               uuid PRIMARY KEY,
    package_id       uuid NOT NULL REFERENCES firmware_package (id),
    division         text NOT NULL CHECK (division ~ '^[0-9]{0,12}$'),
    canaries         text[] NOT NULL DEFAULT '{}',
    steps            smallint[] NOT NULL CHECK (cardinality(steps) BETWEEN 1 AND 10),
    step             smallint NOT NULL,
    step_since       timestamptz NOT NULL,
    soak_minutes     integer NOT NULL CHECK (soak_minutes >= 0),
    failure_percent  smallint NOT NULL CHECK (failure_percent BETWEEN 1 AND 100),
    state            text NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'paused', 'completed', 'aborted')),
    reason           text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    created_by       uuid REFERENCES user_account (id),
    ended_at         timestamptz,
    version          integer NOT NULL DEFAULT 1,
    CHECK ((state IN ('completed', 'aborted')) = (ended_at IS NOT NULL))
);
-- Two roll-outs of a model at once would push devices to and fro.
CREATE INDEX firmware_rollout_open ON firmware_rollout (created_at)
    WHERE state IN ('running', 'paused');

-- One device in a roll-out, from the offer on. Of the link's token only the SHA-256 is kept here.
CREATE TABLE firmware_update (
    rollout_id   uuid NOT NULL REFERENCES firmware_rollout (id),
    device_no    bigint NOT NULL REFERENCES device (no),
    step         smallint NOT NULL,
    state        text NOT NULL DEFAULT 'offered'
        CHECK (state IN ('offered', 'downloading', 'downloaded', 'installed', 'failed', 'withdrawn')),
    percent      smallint NOT NULL DEFAULT 0 CHECK (percent BETWEEN 0 AND 100),
    detail       text NOT NULL DEFAULT '',
    from_version text,
    command_id   uuid REFERENCES device_command (id),
    token_hash   bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    token_expires_at timestamptz NOT NULL,
    token_uses   smallint NOT NULL DEFAULT 0,
    token_used_at timestamptz,
    offered_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    settled_at   timestamptz,
    PRIMARY KEY (rollout_id, device_no),
    CHECK ((state IN ('installed', 'failed', 'withdrawn')) = (settled_at IS NOT NULL))
);
CREATE INDEX firmware_update_command ON firmware_update (command_id);
CREATE INDEX firmware_update_open ON firmware_update (rollout_id)
    WHERE state IN ('offered', 'downloading', 'downloaded');
