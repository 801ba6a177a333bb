-- What only the Community edition has: continuous aggregates and the columnstore.
-- The rollup tables keep what is older than the readings; from `done_until` on the continuous
-- aggregates take over, and late readings are theirs to notice (open_from NULL: nobody marks any).
UPDATE rollup_state SET open_from = NULL, done_until = least(
    (SELECT done_until FROM rollup_state WHERE level = '1d'),
    (SELECT telemetry_bucket('1 day', min(time)) + interval '1 day' FROM reading)
) WHERE level <> 'raw';

-- All levels need the same origin; it is that of telemetry_bucket().
CREATE MATERIALIZED VIEW reading_cagg_15m
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT device_no, metric,
           time_bucket(INTERVAL '15 minutes', time, TIMESTAMPTZ '2000-01-03 00:00:00+08') AS bucket,
           min(value) AS low, max(value) AS high, sum(value) AS total, count(*) AS n
    FROM reading WHERE quality & 10 = 0
    GROUP BY 1, 2, 3
    WITH NO DATA;
CREATE MATERIALIZED VIEW reading_cagg_1h
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT device_no, metric,
           time_bucket(INTERVAL '1 hour', bucket, TIMESTAMPTZ '2000-01-03 00:00:00+08') AS hour,
           min(low) AS low, max(high) AS high, sum(total) AS total, sum(n)::bigint AS n
    FROM reading_cagg_15m
    GROUP BY 1, 2, 3
    WITH NO DATA;
CREATE MATERIALIZED VIEW reading_cagg_1d
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT device_no, metric,
           time_bucket(INTERVAL '1 day', hour, TIMESTAMPTZ '2000-01-03 00:00:00+08') AS day,
           min(low) AS low, max(high) AS high, sum(total) AS total, sum(n)::bigint AS n
    FROM reading_cagg_1h
    GROUP BY 1, 2, 3
    WITH NO DATA;

CREATE OR REPLACE VIEW reading_15m AS
    SELECT device_no, metric, bucket, low, high, total / n AS mean, total, n
    FROM reading_rollup_15m
    WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '15m')
    UNION ALL
    SELECT device_no, metric, bucket, low, high, total / n, total, n
    FROM reading_cagg_15m
    WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '15m');
CREATE OR REPLACE VIEW reading_1h AS
    SELECT device_no, metric, bucket, low, high, total / n AS mean, total, n
    FROM reading_rollup_1h
    WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '1h')
    UNION ALL
    SELECT device_no, metric, hour, low, high, total / n, total, n
    FROM reading_cagg_1h
    WHERE hour >= (SELECT done_until FROM rollup_state WHERE level = '1h');
CREATE OR REPLACE VIEW reading_1d AS
    SELECT device_no, metric, bucket, low, high, total / n AS mean, total, n
    FROM reading_rollup_1d
    WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '1d')
    UNION ALL
    SELECT device_no, metric, day, low, high, total / n, total, n
    FROM reading_cagg_1d
    WHERE day >= (SELECT done_until FROM rollup_state WHERE level = '1d');

ALTER TABLE reading SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'device_no, metric',
    timescaledb.orderby = 'time DESC');
