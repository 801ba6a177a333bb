"""Protocol v1 as a device knows it: topics, words, and messages on their way to the broker.

Written from the protocol's description alone, so that a mistake of the server's decoder cannot be
repeated here. JSON over MQTT at QoS 1: `silverline/v1/{device_id}/vitals|alarm|status|location|ack`
up, `…/command` down; a gateway wraps messages of its sub-devices as `{"batch": […]}`.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

ROOT = "silverline/v1"
DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MAX_BATCH = 500
MAX_PAYLOAD = 64 * 1024
WILL = b'{"online":false}'

# fmt: off
ALARM_KINDS = frozenset(
    {
        "sos", "fall", "smoke", "gas", "water_leak", "heart_rate_high", "heart_rate_low",
        "spo2_low", "blood_pressure_high", "blood_pressure_low", "body_temperature_high",
        "body_temperature_low", "respiratory_rate_high", "respiratory_rate_low",
        "glucose_high", "glucose_low", "door_open", "inactivity", "bed_exit", "geofence_exit",
        "taken_off", "device_offline", "low_battery", "tamper", "clock_skew",
        "self_test_overdue",
    }
)
METRICS = frozenset(
    {
        "heart_rate", "spo2", "bp_systolic", "bp_diastolic", "body_temperature",
        "respiratory_rate", "glucose", "weight", "steps", "ambient_temperature", "humidity",
        "motion", "door_open", "bed_occupied", "illuminance", "smoke", "gas", "water_leak",
    }
)
# fmt: on

Body = dict[str, Any]


def topic(device_id: str, kind: str) -> str:
    """The topic on which `device_id` publishes `kind` (or receives `command`)."""
    return f"{ROOT}/{device_id}/{kind}"


@dataclass(frozen=True, slots=True)
class Note:
    """One message of one device.

    `metrics` are the codes of the values that the server stores as readings; `alarm` is the kind of
    alarm that it carries; `seq` is None where the protocol has no numbering.
    """

    device: str
    kind: str
    body: Body
    seq: int | None = None
    metrics: tuple[str, ...] = ()
    alarm: str | None = None
    active: bool = True


class Envelope:
    """One MQTT publication: a single note, or the notes of a gateway's batch.

    `epoch` is the number of the connection during which it was made (0: before the first). It is
    rendered at the first sending and never again: a repetition after a lost connection is the same
    bytes, so that the server can recognise it.
    """

    __slots__ = ("batch", "epoch", "notes", "payload", "protocol", "sent_at_ms", "topic")

    def __init__(
        self, topic_name: str, notes: tuple[Note, ...], *, batch: bool, protocol: str = "v1"
    ) -> None:
        self.topic = topic_name
        self.notes = notes
        self.batch = batch
        self.protocol = protocol
        self.epoch = 0
        self.payload = b""
        self.sent_at_ms = 0

    @property
    def urgent(self) -> bool:
        """Alarms are never dropped from a full buffer before ordinary messages are."""
        return any(note.alarm is not None for note in self.notes)

    def render(self, *, replayed: bool) -> bytes:
        """The payload. `replayed` marks every note in it as sent late out of the buffer."""
        if replayed and self.protocol == "v1":
            for note in self.notes:
                note.body["replayed"] = True
        if self.batch:
            parts = [{"device": note.device, **note.body} for note in self.notes]
            self.payload = _dump({"batch": parts})
        else:
            self.payload = _dump(self.notes[0].body)
        return self.payload


def _dump(value: Body) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
