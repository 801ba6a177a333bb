-- Community edition: take over into the rollup tables what the continuous aggregates show of the days
-- before silverline.close_until (a midnight in China), which they no longer show from then on. What
-- they are made of has been deleted, or may be; a refresh that reached them would empty them.
SELECT telemetry_make_partitions(
    parent, 'month', first, current_setting('silverline.close_until')::timestamptz)
FROM (SELECT 'reading_rollup_15m', min(bucket) FROM reading_cagg_15m
      UNION ALL
      SELECT 'reading_rollup_1h', min(hour) FROM reading_cagg_1h) AS p (parent, first);

-- What was added to such a day after its readings had been deleted lies there already: both are one now.
INSERT INTO reading_rollup_15m AS b (device_no, metric, bucket, low, high, total, n, sketch)
    SELECT device_no, metric, bucket, low, high, total, n, sketch FROM reading_cagg_15m
    WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '15m')
          AND bucket < current_setting('silverline.close_until')::timestamptz
    ON CONFLICT (device_no, metric, bucket) DO UPDATE
    SET low = least(b.low, excluded.low), high = greatest(b.high, excluded.high),
        total = b.total + excluded.total, n = b.n + excluded.n,
        sketch = telemetry_merge(b.sketch || excluded.sketch);
INSERT INTO reading_rollup_1h AS b (device_no, metric, bucket, low, high, total, n, sketch)
    SELECT device_no, metric, hour, low, high, total, n, sketch FROM reading_cagg_1h
    WHERE hour >= (SELECT done_until FROM rollup_state WHERE level = '1h')
          AND hour < current_setting('silverline.close_until')::timestamptz
    ON CONFLICT (device_no, metric, bucket) DO UPDATE
    SET low = least(b.low, excluded.low), high = greatest(b.high, excluded.high),
        total = b.total + excluded.total, n = b.n + excluded.n,
        sketch = telemetry_merge(b.sketch || excluded.sketch);
INSERT INTO reading_rollup_1d AS b (device_no, metric, bucket, low, high, total, n, sketch)
    SELECT device_no, metric, day, low, high, total, n, sketch FROM reading_cagg_1d
    WHERE day >= (SELECT done_until FROM rollup_state WHERE level = '1d')
          AND day < current_setting('silverline.close_until')::timestamptz
    ON CONFLICT (device_no, metric, bucket) DO UPDATE
    SET low = least(b.low, excluded.low), high = greatest(b.high, excluded.high),
        total = b.total + excluded.total, n = b.n + excluded.n,
        sketch = telemetry_merge(b.sketch || excluded.sketch);
UPDATE rollup_state SET done_until = current_setting('silverline.close_until')::timestamptz
    WHERE level <> 'raw' AND done_until < current_setting('silverline.close_until')::timestamptz;
