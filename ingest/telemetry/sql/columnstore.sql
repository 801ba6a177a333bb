-- Community edition: what is compressed together, and in which order.
ALTER TABLE reading SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'device_no, metric',
    timescaledb.orderby = 'time DESC');
