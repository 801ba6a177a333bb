"""What Setracker watches say of where they are and how: the fields of AL, UD and WT frames.

Date, time, A/V, latitude, N/S, longitude, E/W, speed, course, altitude, satellites, GSM %,
battery %, steps, turns, status word; then lists of cells and WiFi, and how exact it is. Whatever
cannot be read is None with a warning: a bad position must not cost an alarm.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from devices.alarms import AlarmKind
from devices.codecs.radio import Cell, Wifi, mac_address, radio_states
from devices.messages import AlarmSignal, Position, Scalar

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_SIX_DIGITS = re.compile(r"\d{6}", re.ASCII)
_STATUS = re.compile(r"[0-9A-Fa-f]{1,8}")

# Status word, 32 bits: the low half are conditions, the high half alarms of this moment.
# Bit 22 is a fall to some makers, an abnormal heart rate to others: a fall is the safe reading.
_STATUS_ALARMS: tuple[tuple[int, AlarmKind, bool], ...] = (
    (16, AlarmKind.SOS, True),
    (21, AlarmKind.FALL, True),
    (22, AlarmKind.FALL, True),
    (1, AlarmKind.GEOFENCE_EXIT, True),
    (18, AlarmKind.GEOFENCE_EXIT, True),
    (2, AlarmKind.GEOFENCE_EXIT, False),
    (19, AlarmKind.GEOFENCE_EXIT, False),
    (20, AlarmKind.TAKEN_OFF, True),
    (0, AlarmKind.LOW_BATTERY, True),
    (17, AlarmKind.LOW_BATTERY, True),
)
_HIGH_HALF = 0xFFFF0000
# Bit 4 is movement for some makers and rest for others, so that it is a state and no reading.
_STATUS_STATES = ((3, "worn_bit"), (4, "motion_bit"), (14, "power_cut"))
_MOST_LISTED = 64


@dataclass(frozen=True, slots=True)
class Fix:
    """The fields that AL, UD and WT share; whatever cannot be read is None."""

    at: datetime | None
    position: Position | None
    battery: float | None
    steps: float | None
    rolls: float | None
    status: int | None
    warnings: tuple[str, ...]
    states: tuple[tuple[str, Scalar], ...] = ()


def read_fix(fields: Sequence[str]) -> Fix:
    """Date, time, A/V, lat, N/S, lon, E/W, km/h, course, altitude, satellites, GSM %, battery %,
    steps, turns, status; then lists of cells and of WiFi.
    """
    values = [field.strip() for field in fields[:16]] + [""] * (16 - len(fields[:16]))
    warnings: list[str] = []
    at = _moment(values[0], values[1])
    if at is None:
        warnings.append("bad_time: date and time cannot be read")
    position = _coordinates(values, at)
    if position is None:
        warnings.append("bad_field: the position cannot be read")
    status = int(values[15], 16) if _STATUS.fullmatch(values[15]) else None
    if status is None:
        warnings.append("bad_field: the status cannot be read")
    battery, steps, rolls = (number(values[index]) for index in (12, 13, 14))
    states = tuple({**_counts(values), **_radio(fields[16:])}.items())
    return Fix(at, position, battery, steps, rolls, status, tuple(warnings), states)


def _counts(values: Sequence[str]) -> dict[str, Scalar]:
    """Satellites, and how loud the network is in percent."""
    named = (("satellites", number(values[10])), ("gsm_percent", number(values[11])))
    return {name: int(value) for name, value in named if value is not None}


def _radio(fields: Sequence[str]) -> dict[str, Scalar]:
    """Count, timing, country, network, then area, cell, loudness of each; then a count of WiFi and
    name, address, dBm of each. What does not fit ends the list: nothing hangs on it.
    """
    left = deque(field.strip() for field in fields)
    cells: list[Cell] = []
    wifi: list[Wifi] = []
    try:
        count = int(left.popleft() or 0)
        if count or (len(left) > 1 and left[1].isdigit()):
            left.popleft()
        if count:
            country, network = _cell_number(left.popleft()), _cell_number(left.popleft())
            for _ in range(min(count, _MOST_LISTED)):
                area, cell = _cell_number(left.popleft()), _cell_number(left.popleft())
                left.popleft()
                cells.append(Cell(country, network, area, cell))
        for _ in range(min(int(left.popleft() or 0), _MOST_LISTED)):
            left.popleft()
            mac, loudness = mac_address(left.popleft()), int(left.popleft())
            if mac is not None:
                wifi.append(Wifi(mac, loudness))
    except (IndexError, ValueError):
        pass
    states = radio_states(cells, wifi)
    accuracy = number(left[-1]) if left and "." in left[-1] else None
    return states | ({"accuracy": accuracy} if accuracy else {})


def _cell_number(text: str) -> int:
    """Decimal; some makers write hexadecimal digits."""
    if len(text) > 10:
        raise ValueError(text)
    return int(text) if text.isdecimal() else int(text, 16)


def _moment(date: str, time: str) -> datetime | None:
    """DDMMYY and HHMMSS, UTC."""
    if _SIX_DIGITS.fullmatch(date) is None or _SIX_DIGITS.fullmatch(time) is None:
        return None
    day, month, year = (int(date[begin : begin + 2]) for begin in (0, 2, 4))
    hour, minute, second = (int(time[begin : begin + 2]) for begin in (0, 2, 4))
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _coordinates(values: Sequence[str], at: datetime | None) -> Position | None:
    """The hemisphere gives the sign; an empty one leaves the number's own."""
    lat, lon = number(values[3]), number(values[5])
    if lat is None or lon is None:
        return None
    lat = -abs(lat) if values[4].upper() == "S" else lat
    lon = -abs(lon) if values[6].upper() == "W" else lon
    if abs(lat) > 90 or abs(lon) > 180:
        return None
    return Position(
        lat=lat,
        lon=lon,
        at=at,
        valid=values[2].upper() == "A" and (lat, lon) != (0, 0),
        speed_kmh=number(values[7]),
        course_deg=number(values[8]),
        altitude_m=number(values[9]),
    )


def status_alarms(word: int, command: str, *, standing: bool) -> tuple[AlarmSignal, ...]:
    """Every alarm of the status word, each once. In a position report they are levels."""
    detail = f"{command} {word:08X}"
    only_conditions = not word & _HIGH_HALF
    signals: dict[tuple[AlarmKind, bool], AlarmSignal] = {}
    for bit, kind, active in _STATUS_ALARMS:
        if word >> bit & 1:
            level = standing or (bit < 16 and not only_conditions)
            known = signals.get((kind, active))
            if known is None or known.level:
                signals[kind, active] = AlarmSignal(kind, active, detail, level)
    return tuple(signals.values())


def status_states(word: int) -> tuple[tuple[str, Scalar], ...]:
    """Discrete states of the status word that are no alarms."""
    found: list[tuple[str, Scalar]] = [("status_word", f"{word:08X}")] if word else []
    return (*found, *((name, True) for bit, name in _STATUS_STATES if word >> bit & 1))


def number(text: str) -> float | None:
    """A decimal number, None for anything else."""
    text = text.strip()
    return float(text) if len(text) <= 20 and _NUMBER.fullmatch(text) else None
