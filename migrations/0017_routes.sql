-- Where the platform that speaks for a device keeps it: the application of a LoRaWAN network server,
-- by the codec that the device was last heard in over MQTT. A command has to name it.

CREATE TABLE device_route (
    device_no  bigint PRIMARY KEY REFERENCES device (no) ON DELETE CASCADE,
    codec      text NOT NULL,
    route      text NOT NULL
);
