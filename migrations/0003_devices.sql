-- Device registry: one row a device, its bindings over time, its credentials, its commands.

CREATE TABLE device (
    no               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               text NOT NULL UNIQUE CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
    profile          text NOT NULL,
    serial           text,
    state            text NOT NULL DEFAULT 'stock'
        CHECK (state IN ('stock', 'bound', 'faulty', 'retired')),
    -- Why it is in this state (a code of devices/registry/machine.py), a note, and since when.
    state_reason     text NOT NULL DEFAULT '',
    state_note       text NOT NULL DEFAULT '',
    state_at         timestamptz,
    elder_id         uuid REFERENCES elder (id),
    room             text NOT NULL DEFAULT '',
    gateway_no       bigint REFERENCES device (no),
    division_code    text NOT NULL CHECK (division_code ~ '^[0-9]{12}$'),
    firmware         text,
    online           boolean,
    last_seen_at     timestamptz,
    battery_percent  real,
    lat              double precision,
    lon              double precision,
    position_accuracy_m double precision,
    position_at      timestamptz,
    paused_until     timestamptz,
    paused_reason    text,
    test_mode        boolean NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    version          integer NOT NULL DEFAULT 1,
    CHECK ((state = 'bound') = (elder_id IS NOT NULL) OR state IN ('faulty', 'retired'))
-- last_seen_at changes with every batch of messages: no index holds it, so that those updates stay
-- within their page (HOT). The offline sweep reads the whole table, some thousand rows, instead.
) WITH (fillfactor = 70);
CREATE INDEX device_elder ON device (elder_id) WHERE elder_id IS NOT NULL;
CREATE INDEX device_gateway ON device (gateway_no) WHERE gateway_no IS NOT NULL;
CREATE INDEX device_division ON device (division_code text_pattern_ops);

-- Other names under which a device speaks: an IMEI on TCP, a zigbee friendly name, a DevEUI.
CREATE TABLE device_alias (
    codec      text NOT NULL,
    address    text NOT NULL,
    device_no  bigint NOT NULL REFERENCES device (no) ON DELETE CASCADE,
    PRIMARY KEY (codec, address)
);
CREATE INDEX device_alias_device ON device_alias (device_no);

CREATE TABLE device_binding (
    id          uuid PRIMARY KEY,
    device_no   bigint NOT NULL REFERENCES device (no),
    elder_id    uuid NOT NULL REFERENCES elder (id),
    room        text NOT NULL DEFAULT '',
    bound_at    timestamptz NOT NULL,
    bound_by    uuid REFERENCES user_account (id),
    unbound_at  timestamptz,
    unbound_by  uuid REFERENCES user_account (id),
    reason      text NOT NULL DEFAULT '',
    note        text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX device_binding_open ON device_binding (device_no) WHERE unbound_at IS NULL;
CREATE INDEX device_binding_elder ON device_binding (elder_id, bound_at);

-- MQTT credentials. The secret is random (≥ 128 bits), shown once; its SHA-256 is kept.
CREATE TABLE device_credential (
    id           uuid PRIMARY KEY,
    device_no    bigint NOT NULL REFERENCES device (no),
    username     text NOT NULL,
    secret_hash  bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   uuid REFERENCES user_account (id),
    revoked_at   timestamptz
);
CREATE UNIQUE INDEX device_credential_live ON device_credential (username) WHERE revoked_at IS NULL;

-- What we ask of devices, until it is answered or too late (devices/commands/machine.py). It is tried
-- again from `due_at` on; `tries` counts, `sent_at` is when it last left.
CREATE TABLE device_command (
    id          uuid PRIMARY KEY,
    device_no   bigint NOT NULL REFERENCES device (no),
    name        text NOT NULL,
    args        jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sent', 'acknowledged', 'refused', 'expired')),
    created_at  timestamptz NOT NULL,
    created_by  uuid REFERENCES user_account (id),
    expires_at  timestamptz NOT NULL CHECK (expires_at > created_at),
    due_at      timestamptz NOT NULL,
    tries       integer NOT NULL DEFAULT 0,
    sent_at     timestamptz,
    settled_at  timestamptz,
    detail      text NOT NULL DEFAULT '',
    CHECK ((state IN ('queued', 'sent')) = (settled_at IS NULL))
);
CREATE INDEX device_command_device ON device_command (device_no, created_at DESC);
CREATE INDEX device_command_open ON device_command (due_at) WHERE state IN ('queued', 'sent');

-- Whoever keeps the registry in memory (ingest/registry_cache.py) listens on channel `registry`:
-- d:<device no> is another device now, e:<elder id> another elder, n: there is a name that was
-- unknown. What changes with every message (last_seen_at, battery, position) is not announced.
CREATE FUNCTION device_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM pg_notify('registry', 'n');
    ELSE
        PERFORM pg_notify('registry', 'd:' || OLD.no);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER device_changed AFTER INSERT OR DELETE OR UPDATE OF id, profile, state, elder_id, room,
    gateway_no, division_code, paused_until, paused_reason, test_mode ON device
    FOR EACH ROW EXECUTE FUNCTION device_changed();

CREATE FUNCTION device_alias_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('registry', 'n');
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('registry', 'd:' || OLD.device_no);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER device_alias_changed AFTER INSERT OR UPDATE OR DELETE ON device_alias
    FOR EACH ROW EXECUTE FUNCTION device_alias_changed();
