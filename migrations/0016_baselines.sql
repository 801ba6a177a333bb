-- What is ordinary for one elder: the median of a metric and how far values usually lie from it.

CREATE TABLE elder_baseline (
    elder_id    uuid NOT NULL REFERENCES elder (id) ON DELETE CASCADE,
    metric      smallint NOT NULL,
    -- Hour of the day in China; -1 is the whole day, for what is measured too seldom for hours.
    hour        smallint NOT NULL CHECK (hour BETWEEN -1 AND 23),
    median      double precision NOT NULL,
    -- Median of the absolute deviations from the median.
    mad         double precision NOT NULL CHECK (mad >= 0),
    days        smallint NOT NULL CHECK (days > 0),
    learned_at  timestamptz NOT NULL,
    PRIMARY KEY (elder_id, metric, hour)
);
COMMENT ON TABLE elder_baseline IS 'rolling, learned once a day from the 14 days before yesterday';
