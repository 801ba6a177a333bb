-- Continuous aggregates from before the sketches cannot get a column: they are made anew, from the
-- readings that are there. What they know of days whose readings have been deleted goes to the rollup
-- tables first. Followed by community.sql, in the same transaction.
SELECT telemetry_make_partitions(parent, 'month', line.done, line.next)
FROM unnest(ARRAY['reading_rollup_15m', 'reading_rollup_1h']) AS parent,
     (SELECT greatest(done_until, now() - interval '6 years') AS done,
             (SELECT coalesce(min(time), now()) FROM reading) + interval '1 day' AS next
      FROM rollup_state WHERE level = '1d') AS line;

CREATE TEMPORARY TABLE telemetry_line ON COMMIT DROP AS
    SELECT done_until AS done,
           (SELECT telemetry_bucket('1 day', coalesce(min(time), now())) + interval '1 day'
            FROM reading) AS next
    FROM rollup_state WHERE level = '1d';
INSERT INTO reading_rollup_15m (device_no, metric, bucket, low, high, total, n)
    SELECT device_no, metric, bucket, low, high, total, n FROM reading_cagg_15m, telemetry_line
    WHERE bucket >= done AND bucket < next
    ON CONFLICT DO NOTHING;
INSERT INTO reading_rollup_1h (device_no, metric, bucket, low, high, total, n)
    SELECT device_no, metric, hour, low, high, total, n FROM reading_cagg_1h, telemetry_line
    WHERE hour >= done AND hour < next
    ON CONFLICT DO NOTHING;
INSERT INTO reading_rollup_1d (device_no, metric, bucket, low, high, total, n)
    SELECT device_no, metric, day, low, high, total, n FROM reading_cagg_1d, telemetry_line
    WHERE day >= done AND day < next
    ON CONFLICT DO NOTHING;
UPDATE rollup_state SET done_until = greatest(done, next) FROM telemetry_line WHERE level <> 'raw';

-- No view may depend on them any more.
SELECT telemetry_define_views();
DROP MATERIALIZED VIEW reading_cagg_1d;
DROP MATERIALIZED VIEW reading_cagg_1h;
DROP MATERIALIZED VIEW reading_cagg_15m;
