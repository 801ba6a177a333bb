-- Minutes of one quantity of one device, of any time of which there are readings (ADR 0010). The view
-- reading_1m has the last two days of everything: further back it would have to look at everything.
-- Here both ends are known before the readings are looked for, so that it costs what it returns: the
-- function is one statement, which the planner takes apart (as it could not, were it bound to a table
-- when it is made; that would also keep the table from being replaced).

-- Whole minutes, from the one that `since` lies in to before the one that `until` lies in; empty ones
-- are left out, and so are readings with quality bits 2 (test) and 8 (implausible), as everywhere. Both
-- ends are immutable expressions of the arguments: so the planner opens no other day's partition.
CREATE FUNCTION reading_minutes(
    of_device bigint, of_metric integer, since timestamptz, until timestamptz
) RETURNS TABLE (
    bucket timestamptz, low double precision, high double precision, mean double precision,
    total double precision, n bigint,
    p5 double precision, p50 double precision, p95 double precision
) LANGUAGE sql STABLE PARALLEL SAFE ROWS 1440 AS $$
    SELECT s.bucket, s.low, s.high, s.total / s.n, s.total, s.n, q.at[1], q.at[2], q.at[3]
    FROM (
        SELECT telemetry_bucket('1 minute', r.time) AS bucket,
               min(r.value) AS low, max(r.value) AS high, sum(r.value) AS total, count(*) AS n,
               telemetry_sketch(array_agg(telemetry_bin(r.value))) AS sketch
        FROM reading AS r
        WHERE r.device_no = of_device AND r.metric = of_metric::smallint
              AND r.time >= telemetry_bucket('1 minute', since)
              AND r.time < telemetry_bucket('1 minute', until)
              AND r.quality & 10 = 0
        GROUP BY 1) AS s
    CROSS JOIN LATERAL (SELECT telemetry_quantiles(
        s.sketch, ARRAY[0.05, 0.5, 0.95], s.n, s.low, s.high) AS at OFFSET 0) AS q
$$;
