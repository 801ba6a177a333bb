-- Continuous aggregates from before the sketches cannot get a column: they are made anew, from the
-- readings that are there. What they know of days whose readings have been deleted, or will not be
-- reached by the first refresh, goes to the rollup tables first. Followed by community.sql, in the same
-- transaction. The setting silverline.refresh_reach is how far back a refresh goes.
CREATE TEMPORARY TABLE telemetry_line ON COMMIT DROP AS
    SELECT s.done_until AS done,
           greatest(
               telemetry_bucket('1 day', coalesce(r.first, now())) + interval '1 day',
               -- The first day that a refresh takes in whole, should it run tomorrow; none that is open.
               least(telemetry_bucket('1 day', r.last),
                     telemetry_bucket(
                         '1 day', now() - current_setting('silverline.refresh_reach')::interval)
                         + interval '2 days')) AS next
    FROM rollup_state AS s, (SELECT min(time) AS first, max(time) AS last FROM reading) AS r
    WHERE s.level = '1d';
SELECT telemetry_make_partitions(
    parent, 'month', greatest(done, now() - interval '6 years'), next)
FROM unnest(ARRAY['reading_rollup_15m', 'reading_rollup_1h']) AS parent, telemetry_line;

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
