-- What the move of a plain `reading` to a hypertable needs (ingest/telemetry/adoption.py). One
-- transaction, writers kept out for its moment; nothing is moved yet.
CREATE TABLE reading_next (LIKE reading INCLUDING DEFAULTS);
CREATE INDEX reading_next_series ON reading_next (device_no, metric, time DESC);
CREATE INDEX reading_next_time ON reading_next USING brin (time) WITH (autosummarize = on);
SELECT create_hypertable(
    'reading_next', by_range('time', INTERVAL '1 day'), create_default_indexes => false);

-- Partitions that have been copied, with the number of readings that reading_next got of them.
CREATE TABLE reading_move (
    partition  regclass PRIMARY KEY,
    readings   bigint NOT NULL
);

-- Readings that came to a partition while or after it was copied.
CREATE TABLE reading_move_late (
    partition  regclass NOT NULL,
    time       timestamptz NOT NULL,
    device_no  bigint NOT NULL,
    metric     smallint NOT NULL,
    value      double precision NOT NULL,
    quality    smallint NOT NULL
);

CREATE FUNCTION reading_move_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reading_move_late
    VALUES (TG_RELID, NEW.time, NEW.device_no, NEW.metric, NEW.value, NEW.quality);
    RETURN NULL;
END $$;

-- From the end of this transaction on, what comes to the partition is noted.
CREATE FUNCTION reading_move_watch(part regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER reading_move_note AFTER INSERT ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION reading_move_note()', part);
END $$;

-- Copy a watched partition; returns the number of readings. It is one statement and so sees one
-- moment: what was noted until then is in the partition too and is forgotten, what commits later is
-- neither copied nor forgotten. Days that are over are put in the order of charts; the rest stays in
-- the order of time, in which the rollup looks for what is new.
CREATE FUNCTION reading_move_copy(part regclass, is_over boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    copied bigint;
BEGIN
    EXECUTE format(
        'WITH noted AS (DELETE FROM reading_move_late WHERE partition = %L::regclass) '
        'INSERT INTO reading_next (time, device_no, metric, value, quality) '
        'SELECT time, device_no, metric, value, quality FROM %s ORDER BY %s',
        part, part, CASE WHEN is_over THEN 'device_no, metric, time DESC' ELSE 'time' END);
    GET DIAGNOSTICS copied = ROW_COUNT;
    INSERT INTO reading_move VALUES (part, copied);
    RETURN copied;
END $$;

-- Take over what was noted of copied partitions; returns the number of readings.
CREATE FUNCTION reading_move_drain() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    drained bigint;
BEGIN
    WITH gone AS (
        DELETE FROM reading_move_late AS l USING reading_move AS m
        WHERE l.partition = m.partition
        RETURNING l.partition, l.time, l.device_no, l.metric, l.value, l.quality
    ), told AS (
        UPDATE reading_move AS m SET readings = readings + g.n
        FROM (SELECT partition, count(*) AS n FROM gone GROUP BY 1) AS g
        WHERE m.partition = g.partition
    )
    INSERT INTO reading_next (time, device_no, metric, value, quality)
    SELECT time, device_no, metric, value, quality FROM gone ORDER BY time;
    GET DIAGNOSTICS drained = ROW_COUNT;
    RETURN drained;
END $$;
