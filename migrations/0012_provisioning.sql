-- How devices come in: claim codes on labels, lists, keys of batches, client certificates.

-- A code printed on a label: who holds the device may bind it, once. Only its HMAC under the master
-- key is kept, so that the table alone opens nothing. A device has one open code at most.
CREATE TABLE device_claim (
    id          uuid PRIMARY KEY,
    device_no   bigint NOT NULL REFERENCES device (no) ON DELETE CASCADE,
    code_index  bytea NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL,
    created_by  uuid REFERENCES user_account (id),
    -- NULL: until it is claimed.
    expires_at  timestamptz CHECK (expires_at > created_at),
    claimed_at  timestamptz,
    claimed_by  uuid REFERENCES user_account (id),
    -- A newer label was printed.
    ended_at    timestamptz,
    CHECK (claimed_at IS NULL OR ended_at IS NULL)
);
CREATE UNIQUE INDEX device_claim_open ON device_claim (device_no)
    WHERE claimed_at IS NULL AND ended_at IS NULL;
CREATE INDEX device_claim_device ON device_claim (device_no, created_at DESC);

-- Attempts with claim codes and batch keys; those that failed count against who made them.
CREATE TABLE provisioning_attempt (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('claim', 'enrol')),
    -- A user's id, or an address.
    party       text NOT NULL,
    succeeded   boolean NOT NULL DEFAULT false
);
CREATE INDEX provisioning_attempt_party ON provisioning_attempt (kind, party, at);
CREATE INDEX provisioning_attempt_at ON provisioning_attempt (at);

-- A list of devices between its preview and its end. `rows` are the devices as they were understood,
-- `report` what is wrong with them; `secrets_enc` is the file of credentials until it was fetched.
CREATE TABLE device_import (
    id            uuid PRIMARY KEY,
    created_at    timestamptz NOT NULL,
    created_by    uuid NOT NULL REFERENCES user_account (id),
    filename      text NOT NULL,
    rows          jsonb NOT NULL,
    report        jsonb NOT NULL,
    rows_total    integer NOT NULL,
    rows_wrong    integer NOT NULL,
    with_secrets  boolean NOT NULL DEFAULT false,
    secrets_enc   bytea,
    secrets_until timestamptz,
    state         text NOT NULL CHECK (state IN ('previewed', 'imported', 'dropped', 'expired')),
    settled_at    timestamptz,
    CHECK ((state = 'previewed') = (settled_at IS NULL)),
    CHECK ((secrets_enc IS NULL) = (secrets_until IS NULL))
);
CREATE INDEX device_import_creator ON device_import (created_by, created_at DESC);
CREATE INDEX device_import_waiting ON device_import (created_at) WHERE state = 'previewed';
CREATE INDEX device_import_secrets ON device_import (secrets_until) WHERE secrets_enc IS NOT NULL;

-- A key that a maker's batch of devices holds: each of them gets an id and a secret of its own for
-- it, once. The key is random (256 bits); its SHA-256 is kept.
CREATE TABLE provisioning_key (
    id             uuid PRIMARY KEY,
    batch          text NOT NULL CHECK (batch ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,31}$'),
    profile        text NOT NULL,
    division_code  text NOT NULL CHECK (division_code ~ '^[0-9]{12}$'),
    key_hash       bytea NOT NULL,
    most           integer NOT NULL CHECK (most BETWEEN 1 AND 10000),
    used           integer NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND most),
    created_at     timestamptz NOT NULL,
    created_by     uuid REFERENCES user_account (id),
    expires_at     timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at     timestamptz,
    revoked_by     uuid REFERENCES user_account (id)
);
-- The batch is in the ids of its devices: no two batches share a name, also one after the other.
CREATE UNIQUE INDEX provisioning_key_batch ON provisioning_key (lower(batch));

-- Which device of a batch got which id: asking again does not make another one.
CREATE TABLE provisioned_device (
    key_id     uuid NOT NULL REFERENCES provisioning_key (id),
    hardware   text NOT NULL CHECK (hardware ~ '^[A-Za-z0-9][A-Za-z0-9:._-]{3,63}$'),
    device_no  bigint NOT NULL UNIQUE REFERENCES device (no) ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    PRIMARY KEY (key_id, hardware)
);

-- X.509 client certificates of devices, of our own authority or of another one. The key is the
-- device's; what is kept is which certificate it is, and whether it still counts.
CREATE TABLE device_certificate (
    id             uuid PRIMARY KEY,
    device_no      bigint NOT NULL REFERENCES device (no) ON DELETE CASCADE,
    fingerprint    bytea NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    serial         text NOT NULL CHECK (serial ~ '^[0-9a-f]{1,40}$'),
    issuer         text NOT NULL,
    -- Issued by our own authority (its list of revoked ones names it), or first seen at the broker.
    own            boolean NOT NULL,
    not_before     timestamptz NOT NULL,
    not_after      timestamptz NOT NULL CHECK (not_after > not_before),
    created_at     timestamptz NOT NULL,
    created_by     uuid REFERENCES user_account (id),
    revoked_at     timestamptz,
    revoked_by     uuid REFERENCES user_account (id),
    revoke_reason  text NOT NULL DEFAULT ''
);
CREATE INDEX device_certificate_device ON device_certificate (device_no, created_at DESC);
CREATE INDEX device_certificate_revoked ON device_certificate (revoked_at)
    WHERE revoked_at IS NOT NULL;
