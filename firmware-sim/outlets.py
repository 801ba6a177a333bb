"""Ways out of a device: its own line, a gateway's batch, a zigbee2mqtt bridge."""

import asyncio
from typing import Protocol

from mqtt_link import MqttLink
from wire_v1 import MAX_BATCH, Envelope, Note, topic

# A note with every field is about 300 bytes: 100 of them stay well below the 64 KiB of a payload.
_FLUSH_AT = min(MAX_BATCH, 100)


class Outlet(Protocol):
    """Takes the notes of a device, in order."""

    def put(self, note: Note) -> None:
        """Take one note."""


class Direct:
    """A device with a line of its own."""

    def __init__(self, link: MqttLink) -> None:
        self._link = link

    def put(self, note: Note) -> None:
        """Take one note."""
        self._link.offer(Envelope(topic(note.device, note.kind), (note,), batch=False))


class Batch:
    """Sub-devices of a gateway: their notes travel together under the gateway's id.

    A batch holds notes of one kind (its topic says which). It is sent off by a note of another
    kind, by an alarm, when it is full, or `seconds` after its first note, so that no device's
    numbers get out of order.
    """

    def __init__(self, link: MqttLink, gateway: str, seconds: float) -> None:
        self._link = link
        self._gateway = gateway
        self._seconds = seconds
        self._notes: list[Note] = []
        self._timer: asyncio.TimerHandle | None = None

    def put(self, note: Note) -> None:
        """Take one note."""
        if self._notes and self._notes[0].kind != note.kind:
            self.flush()
        self._notes.append(note)
        if note.alarm is not None or len(self._notes) >= _FLUSH_AT:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self.flush)

    def flush(self) -> None:
        """Send what has been collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._notes:
            name = topic(self._gateway, self._notes[0].kind)
            notes, self._notes = tuple(self._notes), []
            self._link.offer(Envelope(name, notes, batch=True))


class Bridge:
    """Sub-devices of a zigbee2mqtt bridge: each has a topic below the bridge's base topic."""

    def __init__(self, link: MqttLink, base_topic: str) -> None:
        self._link = link
        self._base = base_topic

    def put(self, note: Note) -> None:
        """Take one note."""
        name = f"{self._base}/{note.device}"
        if note.kind != "state":
            name = f"{name}/{note.kind}"
        self._link.offer(Envelope(name, (note,), batch=False, protocol="zigbee2mqtt"))

    def announce(self, gateway: str) -> None:
        """The bridge itself is up: `bridge/state`."""
        note = Note(gateway, "bridge", {"state": "online"})
        name = f"{self._base}/bridge/state"
        self._link.offer(Envelope(name, (note,), batch=False, protocol="zigbee2mqtt"))
