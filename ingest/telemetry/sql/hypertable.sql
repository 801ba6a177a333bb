-- Turn the partitioned table `reading` into a TimescaleDB hypertable, with what is in it.
-- Works in both editions. Run once, in one transaction, with writers kept out.
ALTER TABLE reading RENAME TO reading_partitioned;
ALTER INDEX reading_series RENAME TO reading_partitioned_series;
ALTER INDEX reading_time RENAME TO reading_partitioned_time;
CREATE TABLE reading (LIKE reading_partitioned INCLUDING DEFAULTS);
CREATE INDEX reading_series ON reading (device_no, metric, time DESC);
CREATE INDEX reading_time ON reading USING brin (time) WITH (autosummarize = on);
SELECT create_hypertable(
    'reading', by_range('time', INTERVAL '1 day'), create_default_indexes => false);
INSERT INTO reading SELECT * FROM reading_partitioned;
-- The views are bound to the table, not to its name: bind them to the new one.
SELECT telemetry_define_views();
DROP TABLE reading_partitioned;
