-- Readings and their rollups, in the shape that needs nothing but PostgreSQL (ADR 0003).
-- Where TimescaleDB is at hand, ingest/telemetry/modes.py turns `reading` into a hypertable; what
-- is read has the same names in every mode: reading_1m, _15m, _1h, _1d and elder_reading.

-- One row a measured value. Narrow and without a key: identity is kept a message, not a reading.
-- `quality` is a set of bits: ingest/telemetry/model.py, Quality.
CREATE TABLE reading (
    time       timestamptz NOT NULL,
    device_no  bigint NOT NULL,
    metric     smallint NOT NULL,
    value      double precision NOT NULL,
    quality    smallint NOT NULL DEFAULT 0
) PARTITION BY RANGE (time);
-- The chart index; it is three quarters of the cost of a row, so there is only this one of its kind.
CREATE INDEX reading_series ON reading (device_no, metric, time DESC);
-- Rows come nearly in the order of time: a block range index lets the rollup read only the new end.
CREATE INDEX reading_time ON reading USING brin (time) WITH (autosummarize = on);
-- Whatever has no partition yet (late, or a clock in the future) lands here: nothing is refused.
CREATE TABLE reading_default PARTITION OF reading DEFAULT;

-- The newest value of each metric of a device: what lists and the elder's page show.
CREATE TABLE latest_reading (
    device_no  bigint NOT NULL,
    metric     smallint NOT NULL,
    time       timestamptz NOT NULL,
    value      double precision NOT NULL,
    quality    smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (device_no, metric)
) WITH (fillfactor = 60);

-- Closed buckets, written once by the rollup job and again when late data touched them.
CREATE TABLE reading_rollup_15m (
    device_no  bigint NOT NULL,
    metric     smallint NOT NULL,
    bucket     timestamptz NOT NULL,
    low        double precision NOT NULL,
    high       double precision NOT NULL,
    total      double precision NOT NULL,
    n          bigint NOT NULL,
    PRIMARY KEY (device_no, metric, bucket)
) PARTITION BY RANGE (bucket);
-- The next level is made of the newest buckets only.
CREATE INDEX reading_rollup_15m_bucket ON reading_rollup_15m USING brin (bucket)
    WITH (autosummarize = on);
CREATE TABLE reading_rollup_1h (LIKE reading_rollup_15m INCLUDING ALL)
    PARTITION BY RANGE (bucket);
CREATE TABLE reading_rollup_1d (LIKE reading_rollup_15m INCLUDING ALL EXCLUDING INDEXES);
ALTER TABLE reading_rollup_1d ADD PRIMARY KEY (device_no, metric, bucket);

-- How far each level is. Buckets before `done_until` are in the rollup table, the rest is computed
-- from the level below when it is read. A writer of readings older than `open_from` (level 15m)
-- marks the hours that it touches in reading_late. Level raw: older readings have been deleted.
CREATE TABLE rollup_state (
    level       text PRIMARY KEY CHECK (level IN ('raw', '15m', '1h', '1d')),
    done_until  timestamptz NOT NULL,
    open_from   timestamptz
);

-- Hours of a device that got readings after they had been rolled up. Appended to, no key: every
-- writer leaves its own mark, so that none is taken away by a run that has not seen its readings.
CREATE TABLE reading_late (
    device_no  bigint NOT NULL,
    hour       timestamptz NOT NULL
);

-- Buckets start on a Monday, at midnight in China: so do days and weeks of every width.
CREATE FUNCTION telemetry_bucket(width interval, at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN date_bin(width, at, timestamptz '2000-01-03 00:00:00+08');

INSERT INTO rollup_state (level, done_until, open_from) VALUES
    ('raw', '-infinity', NULL),
    ('15m', telemetry_bucket('15 minutes', now()), telemetry_bucket('15 minutes', now())),
    ('1h', telemetry_bucket('1 hour', now()), NULL),
    ('1d', telemetry_bucket('1 day', now()), NULL);

-- Writers share, maintenance excludes. Returns the moment before which readings are late. A
-- function, because the state must be read by a snapshot that is newer than the lock.
CREATE FUNCTION telemetry_enter() RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1361044513);
    RETURN (SELECT open_from FROM rollup_state WHERE level = '15m');
END $$;

-- Wait for the writers under way and keep new ones out until the end of the transaction.
CREATE FUNCTION telemetry_exclude() RETURNS void LANGUAGE sql AS
    'SELECT pg_advisory_xact_lock(1361044513)';

-- Make the partitions of a table from `first` to before `last`, each `width` long ('day', 'month'),
-- taking over what the default partition (if there is one) holds of them. Returns how many are new.
CREATE FUNCTION telemetry_make_partitions(
    parent text, width text, first timestamptz, last timestamptz
) RETURNS integer LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    key text := (SELECT attname FROM pg_partitioned_table p
                 JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
                 WHERE p.partrelid = parent::regclass);
    fallback text := (SELECT nullif(partdefid, 0)::regclass FROM pg_partitioned_table
                      WHERE partrelid = parent::regclass);
    step interval := ('1 ' || width)::interval;
    low timestamptz := date_trunc(width, first);
    part text;
    made integer := 0;
BEGIN
    WHILE low < last LOOP
        part := format('%s_p%s', parent, to_char(low, 'YYYYMMDD'));
        IF to_regclass(part) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', part, parent);
            IF fallback IS NOT NULL THEN
                EXECUTE format(
                    'WITH moved AS (DELETE FROM %1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *) '
                    'INSERT INTO %5$I SELECT * FROM moved',
                    fallback, key, low, low + step, part);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, part, low, low + step);
            made := made + 1;
        END IF;
        low := low + step;
    END LOOP;
    RETURN made;
END $$;

-- Drop the partitions of a table that end at or before `horizon`. Returns how many.
CREATE FUNCTION telemetry_drop_partitions(parent text, width text, horizon timestamptz)
RETURNS integer LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent::regclass AND c.relname ~ (parent || '_p[0-9]{8}$')
    LOOP
        IF to_timestamp(right(part.relname, 8), 'YYYYMMDD') + ('1 ' || width)::interval <= horizon
        THEN
            EXECUTE format('DROP TABLE %I', part.relname);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

-- (Re)define what is read. `live` is where the 15-minute buckets come from that are not in the
-- rollup table; called again when the table `reading` was replaced.
-- Quality bits 2 (test) and 8 (implausible) are kept out of every chart.
CREATE FUNCTION telemetry_define_views() RETURNS void LANGUAGE plpgsql AS $define$
BEGIN
    -- By the minute, the last two days: computed from the readings themselves. Minutes are not
    -- stored, because most devices report once a minute or less: they would double the storage.
    CREATE OR REPLACE VIEW reading_1m AS
        SELECT device_no, metric, telemetry_bucket('1 minute', time) AS bucket,
               min(value) AS low, max(value) AS high, avg(value) AS mean, sum(value) AS total,
               count(*) AS n
        FROM reading
        WHERE time >= now() - interval '48 hours' AND quality & 10 = 0
        GROUP BY 1, 2, 3;
    CREATE OR REPLACE VIEW reading_15m AS
        SELECT device_no, metric, bucket, low, high, total / n AS mean, total, n
        FROM reading_rollup_15m
        WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '15m')
        UNION ALL
        SELECT device_no, metric, telemetry_bucket('15 minutes', time), min(value), max(value),
               avg(value), sum(value), count(*)
        FROM reading
        WHERE time >= (SELECT done_until FROM rollup_state WHERE level = '15m')
              AND quality & 10 = 0
        GROUP BY 1, 2, 3;
    CREATE OR REPLACE VIEW reading_1h AS
        SELECT device_no, metric, bucket, low, high, total / n AS mean, total, n
        FROM reading_rollup_1h
        WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '1h')
        UNION ALL
        SELECT device_no, metric, telemetry_bucket('1 hour', bucket), min(low), max(high),
               sum(total) / sum(n), sum(total), sum(n)::bigint
        FROM reading_15m
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '1h')
        GROUP BY 1, 2, 3;
    CREATE OR REPLACE VIEW reading_1d AS
        SELECT device_no, metric, bucket, low, high, total / n AS mean, total, n
        FROM reading_rollup_1d
        WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '1d')
        UNION ALL
        SELECT device_no, metric, telemetry_bucket('1 day', bucket), min(low), max(high),
               sum(total) / sum(n), sum(total), sum(n)::bigint
        FROM reading_1h
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '1d')
        GROUP BY 1, 2, 3;
    -- Readings of the person who had the device at that time.
    CREATE OR REPLACE VIEW elder_reading AS
        SELECT b.elder_id, r.time, r.device_no, r.metric, r.value, r.quality, b.room
        FROM reading r
        JOIN device_binding b ON b.device_no = r.device_no AND r.time >= b.bound_at
             AND (b.unbound_at IS NULL OR r.time < b.unbound_at);
END $define$;
SELECT telemetry_define_views();
