"""A straightforward consumer, to be measured beside ours: paho, and one INSERT a message.

    python -m tools.bench.naive MQTT_PORT DATABASE_URL

No batches, no exactly-once, no rules: what one writes first. It runs until it is killed.
"""

import json
import sys
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

_METRICS = {
    "heart_rate": 1,
    "spo2": 2,
    "bp_systolic": 3,
    "bp_diastolic": 4,
    "body_temperature": 5,
}
INSERT = """
    INSERT INTO reading (time, device_no, metric, value)
    SELECT to_timestamp(%s::float8 / 1000), d.no, m.metric, m.value
    FROM device d, unnest(%s::smallint[], %s::float8[]) AS m (metric, value) WHERE d.id = %s
"""


def main() -> None:
    """Consume for ever."""
    port, url = int(sys.argv[1]), sys.argv[2]
    connection = psycopg.connect(url, autocommit=True)

    def on_message(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        said = json.loads(message.payload)
        values = said["vitals"]
        metrics = [_METRICS[code] for code in values]
        device = message.topic.split("/")[2]
        connection.execute(
            INSERT, (said["t"], metrics, [float(each) for each in values.values()], device)
        )

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="naive", clean_session=False)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe("silverline/v1/+/vitals", qos=1)
    client.loop_forever()


if __name__ == "__main__":
    main()
