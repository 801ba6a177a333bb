"""What a JT/T 808 location report says, as its items are read one after the other."""

from dataclasses import dataclass, field
from datetime import datetime

from devices.alarms import AlarmKind
from devices.codecs.binary import Reader, printable
from devices.codecs.fields import clean
from devices.codecs.radio import Cell, Wifi, radio_states
from devices.messages import AlarmSignal, Position, Scalar

_LOUDEST, _SILENT_DBM, _STEP_DBM = 31, -113, 2
MOST_STATES = 150
"""Most states of one report; a body of 64 KiB could hold thousands of items."""


@dataclass(slots=True)
class Location:
    """What a report says. Values in the units of the metric catalogue."""

    at: datetime | None = None
    position: Position | None = None
    readings: dict[str, float] = field(default_factory=dict)
    alarms: dict[AlarmKind, AlarmSignal] = field(default_factory=dict)
    states: dict[str, Scalar] = field(default_factory=dict)
    charging: bool | None = None
    altitude_m: float | None = None
    rssi_dbm: float | None = None
    firmware: str | None = None
    cells: list[Cell] = field(default_factory=list)
    wifi: list[Wifi] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def raise_alarm(self, kind: AlarmKind, detail: str, *, level: bool) -> None:
        """Note an alarm; an activation counts for more than a level."""
        known = self.alarms.get(kind)
        if known is None or known.level:
            self.alarms[kind] = AlarmSignal(kind, True, detail, level)

    def state(self, name: str, value: Scalar) -> None:
        """Note a state, unless there are far too many."""
        if name in self.states or len(self.states) < MOST_STATES:
            self.states[name] = value

    def radio(self) -> None:
        """Note what is in sight of the radio, when all of it was read."""
        self.states.update(radio_states(self.cells, self.wifi))


def read_signal(found: Location, loudness: int) -> None:
    """0 to 31 as modems count (3GPP TS 27.007, +CSQ), steps of 2 dB; 0 and 99 say nothing."""
    if 0 < loudness <= _LOUDEST:
        found.rssi_dbm = float(_SILENT_DBM + _STEP_DBM * loudness)


def read_percent(found: Location, value: float) -> None:
    """A battery, unless it is no percentage."""
    if 0 <= value <= 100:
        found.readings["battery"] = float(value)


def read_text(data: bytes) -> str:
    """Readable text, else hexadecimal digits; at most 200 characters."""
    text = data.rstrip(b"\0\r\n ")
    if text and printable(text):
        return clean(text.decode("ascii"))[:200]
    return data.hex()[:200]


def unread(found: Location, name: str, data: Reader) -> None:
    """What nobody knows is kept as it came, and not silently dropped."""
    if data.left:
        found.state(name, data.rest().hex()[:100])
