-- The fleet: modes with an end, technical alarms apart from elders' alarms, self-tests, presence.

-- When each mode of a device ends; a moment in the past is a mode that is over. They stand on the
-- device's row because every message is judged by them. The older columns paused_until, paused_reason
-- and test_mode are no longer read.
ALTER TABLE device
    ADD COLUMN test_until timestamptz,
    ADD COLUMN away_until timestamptz,
    ADD COLUMN maintenance_until timestamptz;
CREATE TRIGGER device_mode_changed AFTER UPDATE OF test_until, away_until, maintenance_until ON device
    FOR EACH ROW EXECUTE FUNCTION device_changed();

-- Who put a device into a mode, why and until when. `reminded_at`: that the end is near was told.
CREATE TABLE device_mode (
    id           uuid PRIMARY KEY,
    device_no    bigint NOT NULL REFERENCES device (no),
    mode         text NOT NULL CHECK (mode IN ('test', 'away', 'maintenance')),
    reason       text NOT NULL DEFAULT '',
    started_at   timestamptz NOT NULL,
    started_by   uuid REFERENCES user_account (id),
    ends_at      timestamptz NOT NULL CHECK (ends_at > started_at),
    renewed      integer NOT NULL DEFAULT 0,
    reminded_at  timestamptz,
    ended_at     timestamptz,
    ended_by     uuid REFERENCES user_account (id)
);
CREATE UNIQUE INDEX device_mode_running ON device_mode (device_no, mode) WHERE ended_at IS NULL;
CREATE INDEX device_mode_due ON device_mode (ends_at) WHERE ended_at IS NULL;
CREATE INDEX device_mode_device ON device_mode (device_no, started_at DESC);

-- What was paused is in maintenance; what was in test mode, which had no end, stays so for a day.
INSERT INTO device_mode (id, device_no, mode, reason, started_at, ends_at)
    SELECT gen_random_uuid(), no, 'maintenance', coalesce(paused_reason, ''), now(), paused_until
    FROM device WHERE paused_until > now() AND state <> 'retired'
    UNION ALL
    SELECT gen_random_uuid(), no, 'test', '', now(), now() + interval '1 day'
    FROM device WHERE test_mode AND state <> 'retired';
UPDATE device d SET test_until = CASE WHEN m.mode = 'test' THEN m.ends_at ELSE d.test_until END
    FROM device_mode m WHERE m.device_no = d.no AND m.mode = 'test';
UPDATE device d SET maintenance_until = m.ends_at
    FROM device_mode m WHERE m.device_no = d.no AND m.mode = 'maintenance';

-- Technical alarms: what is wrong with a device, for technicians. One of a kind and device at a time
-- (devices/technical/machine.py); it is never an incident and never rings.
CREATE TABLE technical_alarm (
    id              uuid PRIMARY KEY,
    device_no       bigint NOT NULL REFERENCES device (no),
    kind            text NOT NULL,
    state           text NOT NULL DEFAULT 'active'
        CHECK (state IN ('active', 'acknowledged', 'shelved', 'cleared')),
    detail          jsonb NOT NULL DEFAULT '{}',
    raised_at       timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    count           integer NOT NULL DEFAULT 1 CHECK (count > 0),
    acknowledged_at timestamptz,
    acknowledged_by uuid REFERENCES user_account (id),
    shelved_until   timestamptz,
    shelved_by      uuid REFERENCES user_account (id),
    note            text NOT NULL DEFAULT '',
    cleared_at      timestamptz,
    cleared_by      uuid REFERENCES user_account (id),
    version         integer NOT NULL DEFAULT 1,
    CHECK ((state = 'cleared') = (cleared_at IS NOT NULL)),
    CHECK ((state = 'shelved') = (shelved_until IS NOT NULL)),
    CHECK (state <> 'acknowledged' OR acknowledged_at IS NOT NULL)
);
CREATE UNIQUE INDEX technical_alarm_one ON technical_alarm (device_no, kind) WHERE state <> 'cleared';
CREATE INDEX technical_alarm_open ON technical_alarm (raised_at DESC, id DESC) WHERE state <> 'cleared';
CREATE INDEX technical_alarm_past ON technical_alarm (raised_at DESC, id DESC) WHERE state = 'cleared';
CREATE INDEX technical_alarm_shelved ON technical_alarm (shelved_until) WHERE state = 'shelved';
CREATE INDEX technical_alarm_device ON technical_alarm (device_no, raised_at DESC);

-- Incidents of these kinds were opened until now. What is open goes over to the technicians; the
-- incidents themselves stay with whoever has them, to be closed by a person.
INSERT INTO technical_alarm (id, device_no, kind, raised_at, last_at, count)
    SELECT DISTINCT ON (device_no, kind) gen_random_uuid(), device_no, kind, opened_at,
        last_activation_at, activation_count
    FROM incident
    WHERE status <> 'resolved' AND device_no IS NOT NULL AND condition_active
      AND kind IN ('device_offline', 'low_battery', 'tamper')
    ORDER BY device_no, kind, opened_at;

-- A press, a tilt or smoke from a can while the device was being tested: the proof that it would call.
CREATE TABLE device_self_test (
    id         uuid PRIMARY KEY,
    device_no  bigint NOT NULL REFERENCES device (no),
    at         timestamptz NOT NULL,
    kind       text NOT NULL,
    alarm_id   uuid UNIQUE REFERENCES alarm (id)
);
CREATE INDEX device_self_test_device ON device_self_test (device_no, at DESC);

-- When a device came and went: one row a change of `device.online`, written in the transaction that
-- changes it. It holds until the next row of the same device.
CREATE TABLE device_presence (
    device_no  bigint NOT NULL REFERENCES device (no),
    at         timestamptz NOT NULL,
    online     boolean NOT NULL,
    PRIMARY KEY (device_no, at)
);
CREATE INDEX device_presence_at ON device_presence USING brin (at);
INSERT INTO device_presence (device_no, at, online)
    SELECT no, now(), online FROM device WHERE online IS NOT NULL AND state = 'bound';

-- Seconds that bound devices of a division were heard, of those in which we know; by the hour.
CREATE TABLE division_uptime (
    hour           timestamptz NOT NULL,
    division_code  text NOT NULL,
    online_s       double precision NOT NULL,
    known_s        double precision NOT NULL,
    PRIMARY KEY (hour, division_code)
);
