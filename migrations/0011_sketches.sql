-- Quantiles of every rollup: a sketch beside low, high, total and n, mergeable from minutes to days,
-- made of built-in functions alone, so that it is the same with and without TimescaleDB (ADR 0010).

-- The bin of a value. Bins are 1/400 wide on the scale asinh(value / 10): even below 10, ever wider
-- above. The value in the middle of a bin is off by at most sqrt(value² + 100) / 800: 0.05 °C at 37,
-- 0.1 at a heart rate of 72, 0.15 mmHg at 120, an eighth of a percent of what is large. The clamp is
-- for values that must not exist: one of them would stop every later rollup.
CREATE FUNCTION telemetry_bin(value double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN round(400 * asinh(greatest(least(value, 1e300), -1e300) / 10))::integer;

-- A sketch is an array of bin * 2^32 + count, in the order of the bins, of those that occur.
-- Bodies are bound when they are made: background jobs of a database have a search path of their own.
CREATE FUNCTION telemetry_sketch(bins integer[]) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg((c.bin::bigint << 32) + c.n ORDER BY c.bin)
    FROM (SELECT u.bin, count(*) AS n FROM unnest(bins) AS u (bin) GROUP BY u.bin) AS c;
END;

-- Sketches laid end to end, as a sketch again.
CREATE FUNCTION telemetry_merge(parts bigint[]) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg((c.bin << 32) + c.n ORDER BY c.bin)
    FROM (SELECT u.part >> 32 AS bin, sum(u.part & 4294967295)::bigint AS n
          FROM unnest(parts) AS u (part) GROUP BY 1) AS c;
END;
CREATE AGGREGATE telemetry_concat(bigint[]) (
    SFUNC = array_cat, STYPE = bigint[], COMBINEFUNC = array_cat, PARALLEL = SAFE);

-- The values below or at which the given shares of `n` readings lie (nearest rank, as
-- percentile_disc has it), in the order of `shares`, which must ascend. NULL when the sketch does
-- not hold all n readings: buckets from before this migration have none.
CREATE FUNCTION telemetry_quantiles(
    sketch bigint[], shares double precision[], n bigint, low double precision, high double precision
) RETURNS double precision[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(found.value ORDER BY found.share)
    FROM (
        SELECT s.share, min(greatest(low, least(high, 10 * sinh(c.bin / 400.0)))) AS value
        FROM unnest(shares) AS s (share)
        JOIN (SELECT u.part >> 32 AS bin,
                     sum(u.part & 4294967295) OVER (ORDER BY u.part) AS upto,
                     sum(u.part & 4294967295) OVER () AS whole
              FROM unnest(sketch) AS u (part)) AS c
          ON c.whole = n AND c.upto >= greatest(1, ceil(s.share * n))
        GROUP BY s.share) AS found;
END;

-- Nullable: what was rolled up before has no sketch.
ALTER TABLE reading_rollup_15m ADD COLUMN sketch bigint[];
ALTER TABLE reading_rollup_1h ADD COLUMN sketch bigint[];
ALTER TABLE reading_rollup_1d ADD COLUMN sketch bigint[];

-- (Re)define what is read; called again when the table `reading` was replaced. All of it stands on
-- reading_sketch_1m, _15m, _1h and _1d, which the Community edition replaces by its own.
-- Quality bits 2 (test) and 8 (implausible) are kept out of every chart. A sketch that nobody asks
-- for is not computed: the planner drops columns of a view that are not used.
CREATE OR REPLACE FUNCTION telemetry_define_views() RETURNS void LANGUAGE plpgsql AS $define$
DECLARE
    level text;
BEGIN
    -- By the minute, the last two days: computed from the readings themselves. Minutes are not
    -- stored, because most devices report once a minute or less: they would double the storage.
    CREATE OR REPLACE VIEW reading_sketch_1m AS
        SELECT device_no, metric, telemetry_bucket('1 minute', time) AS bucket,
               min(value) AS low, max(value) AS high, sum(value) AS total, count(*) AS n,
               telemetry_sketch(array_agg(telemetry_bin(value))) AS sketch
        FROM reading
        WHERE time >= now() - interval '48 hours' AND quality & 10 = 0
        GROUP BY 1, 2, 3;
    CREATE OR REPLACE VIEW reading_sketch_15m AS
        SELECT device_no, metric, bucket, low, high, total, n, sketch
        FROM reading_rollup_15m
        WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '15m')
        UNION ALL
        SELECT device_no, metric, telemetry_bucket('15 minutes', time), min(value), max(value),
               sum(value), count(*), telemetry_sketch(array_agg(telemetry_bin(value)))
        FROM reading
        WHERE time >= (SELECT done_until FROM rollup_state WHERE level = '15m')
              AND quality & 10 = 0
        GROUP BY 1, 2, 3;
    CREATE OR REPLACE VIEW reading_sketch_1h AS
        SELECT device_no, metric, bucket, low, high, total, n, sketch
        FROM reading_rollup_1h
        WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '1h')
        UNION ALL
        SELECT device_no, metric, telemetry_bucket('1 hour', bucket), min(low), max(high),
               sum(total), sum(n)::bigint, telemetry_merge(telemetry_concat(sketch))
        FROM reading_sketch_15m
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '1h')
        GROUP BY 1, 2, 3;
    CREATE OR REPLACE VIEW reading_sketch_1d AS
        SELECT device_no, metric, bucket, low, high, total, n, sketch
        FROM reading_rollup_1d
        WHERE bucket < (SELECT done_until FROM rollup_state WHERE level = '1d')
        UNION ALL
        SELECT device_no, metric, telemetry_bucket('1 day', bucket), min(low), max(high),
               sum(total), sum(n)::bigint, telemetry_merge(telemetry_concat(sketch))
        FROM reading_sketch_1h
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '1d')
        GROUP BY 1, 2, 3;
    FOREACH level IN ARRAY ARRAY['1m', '15m', '1h', '1d'] LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW reading_%1$s AS '
            'SELECT device_no, metric, bucket, low, high, total / n AS mean, total, n '
            'FROM reading_sketch_%1$s', level);
        EXECUTE format(
            'CREATE OR REPLACE VIEW reading_quantile_%1$s AS '
            'SELECT s.device_no, s.metric, s.bucket, s.low, s.high, s.total / s.n AS mean, s.n, '
            '       q.at[1] AS p5, q.at[2] AS p50, q.at[3] AS p95 '
            'FROM reading_sketch_%1$s AS s '
            'CROSS JOIN LATERAL (SELECT telemetry_quantiles('
            '    s.sketch, ARRAY[0.05, 0.5, 0.95], s.n, s.low, s.high) AS at OFFSET 0) AS q', level);
    END LOOP;
    -- Readings of the person who had the device at that time.
    CREATE OR REPLACE VIEW elder_reading AS
        SELECT b.elder_id, r.time, r.device_no, r.metric, r.value, r.quality, b.room
        FROM reading r
        JOIN device_binding b ON b.device_no = r.device_no AND r.time >= b.bound_at
             AND (b.unbound_at IS NULL OR r.time < b.unbound_at);
END $define$;
SELECT telemetry_define_views();
