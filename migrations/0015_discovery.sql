-- What an installation (Home Assistant) announces: devices that may be adopted, and their entities.

CREATE TABLE discovered_device (
    gateway_no    bigint NOT NULL REFERENCES device (no) ON DELETE CASCADE,
    -- What the installation calls it; its name in the protocol is made of it (homeassistant.address).
    key           text NOT NULL,
    name          text NOT NULL DEFAULT '',
    manufacturer  text NOT NULL DEFAULT '',
    model         text NOT NULL DEFAULT '',
    found_at      timestamptz NOT NULL,
    -- The device that it was adopted as; or that somebody does not want to see it any more.
    device_no     bigint REFERENCES device (no) ON DELETE SET NULL,
    ignored_at    timestamptz,
    PRIMARY KEY (gateway_no, key),
    CHECK (device_no IS NULL OR ignored_at IS NULL)
);
CREATE INDEX discovered_device_adopted ON discovered_device (device_no) WHERE device_no IS NOT NULL;

-- `key` is the topic of the announcement within the installation; `entity` what the codec needs.
CREATE TABLE discovered_entity (
    gateway_no  bigint NOT NULL,
    key         text NOT NULL,
    device_key  text NOT NULL,
    entity      jsonb NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (gateway_no, key),
    FOREIGN KEY (gateway_no, device_key) REFERENCES discovered_device (gateway_no, key)
        ON DELETE CASCADE
);
CREATE INDEX discovered_entity_device ON discovered_entity (gateway_no, device_key);

-- Ingest processes read the adopted entities when they start and whenever these may have changed.
CREATE FUNCTION discovery_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('discovery', '');
    RETURN NULL;
END $$;
CREATE TRIGGER discovered_device_changed AFTER UPDATE OF device_no OR DELETE ON discovered_device
    FOR EACH STATEMENT EXECUTE FUNCTION discovery_changed();
CREATE TRIGGER discovered_entity_changed AFTER INSERT OR UPDATE OR DELETE ON discovered_entity
    FOR EACH STATEMENT EXECUTE FUNCTION discovery_changed();
