-- Readings of days whose readings have been deleted: they are added to the rollups and not kept.
-- Which days these are says level raw of rollup_state; it is moved while writers are kept out, so that
-- each reading goes either to `reading`, from which its buckets are computed, or here.
CREATE TABLE reading_past (
    time       timestamptz NOT NULL,
    device_no  bigint NOT NULL,
    metric     smallint NOT NULL,
    value      double precision NOT NULL,
    quality    smallint NOT NULL DEFAULT 0
);

-- What the Community edition shows: its continuous aggregates from `done_until` on, and all that the
-- rollup tables have: the days that were closed before, and what was added to later ones when nothing
-- could compute them any more. A bucket of both is two rows.
CREATE FUNCTION telemetry_define_community_views() RETURNS void LANGUAGE plpgsql AS $define$
BEGIN
    CREATE OR REPLACE VIEW reading_sketch_15m AS
        SELECT device_no, metric, bucket, low, high, total, n, sketch
        FROM reading_rollup_15m
        UNION ALL
        SELECT device_no, metric, bucket, low, high, total, n, sketch
        FROM reading_cagg_15m
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '15m');
    CREATE OR REPLACE VIEW reading_sketch_1h AS
        SELECT device_no, metric, bucket, low, high, total, n, sketch
        FROM reading_rollup_1h
        UNION ALL
        SELECT device_no, metric, hour, low, high, total, n, sketch
        FROM reading_cagg_1h
        WHERE hour >= (SELECT done_until FROM rollup_state WHERE level = '1h');
    CREATE OR REPLACE VIEW reading_sketch_1d AS
        SELECT device_no, metric, bucket, low, high, total, n, sketch
        FROM reading_rollup_1d
        UNION ALL
        SELECT device_no, metric, day, low, high, total, n, sketch
        FROM reading_cagg_1d
        WHERE day >= (SELECT done_until FROM rollup_state WHERE level = '1d');
END $define$;

-- What our own job had closed beyond the line when the aggregates took over: they have it, too.
CREATE FUNCTION telemetry_forget_beyond() RETURNS void LANGUAGE sql AS $$
    DELETE FROM reading_rollup_15m
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '15m');
    DELETE FROM reading_rollup_1h
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '1h');
    DELETE FROM reading_rollup_1d
        WHERE bucket >= (SELECT done_until FROM rollup_state WHERE level = '1d');
$$;

-- Aggregates from before the sketches are made anew by community.sql, which does the same.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = to_regclass('reading_cagg_15m') AND attname = 'sketch') THEN
        PERFORM telemetry_forget_beyond();
        PERFORM telemetry_define_community_views();
    END IF;
END $$;
