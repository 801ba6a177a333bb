-- What only the Community edition has: continuous aggregates.
-- The rollup tables keep the days that are closed; from `done_until` on the continuous aggregates
-- take over. Not from the oldest readings on: a refresh does not reach back to those that are about
-- to be deleted, and once it has been anywhere later their days would be shown by nobody. Marks of
-- late readings are still made: for the closed days, and for whoever computes something of their own.
UPDATE rollup_state SET done_until = (SELECT done_until FROM rollup_state WHERE level = '1d')
WHERE level <> 'raw';

-- All levels need the same origin; it is that of telemetry_bucket().
CREATE MATERIALIZED VIEW reading_cagg_15m
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT device_no, metric,
           time_bucket(INTERVAL '15 minutes', time, TIMESTAMPTZ '2000-01-03 00:00:00+08') AS bucket,
           min(value) AS low, max(value) AS high, sum(value) AS total, count(*) AS n,
           telemetry_sketch(array_agg(telemetry_bin(value))) AS sketch
    FROM reading WHERE quality & 10 = 0
    GROUP BY 1, 2, 3
    WITH NO DATA;
CREATE MATERIALIZED VIEW reading_cagg_1h
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT device_no, metric,
           time_bucket(INTERVAL '1 hour', bucket, TIMESTAMPTZ '2000-01-03 00:00:00+08') AS hour,
           min(low) AS low, max(high) AS high, sum(total) AS total, sum(n)::bigint AS n,
           telemetry_merge(telemetry_concat(sketch)) AS sketch
    FROM reading_cagg_15m
    GROUP BY 1, 2, 3
    WITH NO DATA;
CREATE MATERIALIZED VIEW reading_cagg_1d
    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT device_no, metric,
           time_bucket(INTERVAL '1 day', hour, TIMESTAMPTZ '2000-01-03 00:00:00+08') AS day,
           min(low) AS low, max(high) AS high, sum(total) AS total, sum(n)::bigint AS n,
           telemetry_merge(telemetry_concat(sketch)) AS sketch
    FROM reading_cagg_1h
    GROUP BY 1, 2, 3
    WITH NO DATA;

-- reading_15m and the rest stand on these three (migrations/0022_past_readings.sql).
SELECT telemetry_forget_beyond();
SELECT telemetry_define_community_views();
