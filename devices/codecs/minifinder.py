"""MiniFinder and other Eview pendants (EV-07): text frames over TCP, `!D,…;`.

`!1` is the login with the IMEI, which only it carries, so that the connection has to remember it
(`Frame.device`). `!A` … `!D` are positions (B late from the memory), `!5` is a keep-alive. Times
are UTC. Source: frames of public decoder tests; the terminal wants no answers.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

from devices.alarms import AlarmKind
from devices.codecs.fields import clean
from devices.codecs.properties import battery_status
from devices.messages import (
    AlarmSignal,
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Position,
    Reading,
    Scalar,
)

MAX_FRAME = 2 * 1024
"""Longest frame in bytes."""

_IMEI = re.compile(r"[0-9]{5,20}", re.ASCII)
_PHONE = re.compile(r"\+?[0-9]{3,20}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{0,9})?", re.ASCII)
_FIX = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{2,4}),(\d{1,2}):(\d{1,2}):(\d{1,2}),"
    r"(-?\d{1,2}\.\d+),(-?\d{1,3}\.\d+),?(.*)",
    re.ASCII,
)
_ALARM_BITS = {
    6: AlarmKind.SOS,
    8: AlarmKind.FALL,
    9: AlarmKind.GEOFENCE_EXIT,
    10: AlarmKind.GEOFENCE_EXIT,
    11: AlarmKind.GEOFENCE_EXIT,
    12: AlarmKind.LOW_BATTERY,
}
_STANDING = frozenset({AlarmKind.GEOFENCE_EXIT, AlarmKind.LOW_BATTERY})
_LOUDEST = 31
_STATE_BITS = ((1, "approximate"), (2, "fault"), (7, "overspeed"), (14, "moved"), (15, "moved"))


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream at `;`. Raises CodecError (oversized) when the buffer only grows."""
    *frames, rest = buffer.split(b";")
    rest = rest.lstrip(b"\r\n\0 ")
    if len(rest) > MAX_FRAME and not frames:
        raise CodecError("oversized", f"more than {MAX_FRAME} bytes and no end of a frame")
    stripped = (frame.lstrip(b"\r\n\0 ") for frame in frames)
    return [frame + b";" for frame in stripped if frame], rest


def decode(frame: Frame) -> Decoded:
    """Decode one frame, with or without its `;`.

    `Message.device` is the IMEI that the connection's login gave, empty when there was none.
    CodecError reasons: oversized, not_a_frame, bad_field.
    """
    if len(frame.payload) > MAX_FRAME:
        raise CodecError("oversized", f"{len(frame.payload)} bytes are more than {MAX_FRAME}")
    text = frame.payload.decode("ascii", "replace").strip("\r\n\0 ").removesuffix(";")
    if len(text) < 2 or text[0] != "!":
        raise CodecError("not_a_frame", "a frame begins with ! and its kind")
    kind, _, body = text[1:].partition(",")
    if kind == "1":
        imei = body.split(",")[0].strip()
        if _IMEI.fullmatch(imei) is None:
            raise CodecError("bad_field", "the login carries no IMEI")
        return Decoded(device=imei)
    if kind in ("A", "B", "C", "D"):
        return Decoded((_position(kind, body, frame.device),), device=frame.device)
    if kind == "5":
        return Decoded((_keep_alive(body, frame.device),), device=frame.device)
    if kind in ("3", "4"):
        name = "result" if kind == "3" else "settings"
        states: dict[str, Scalar] = {name: clean(body)[:200]}
        if kind == "4":
            states |= _numbers(body)
        message = _plain(frame.device, None, None, states)
        return Decoded((message,), device=frame.device)
    return Decoded((), (), (f"kind {clean(kind)[:8]} is not used",), frame.device)


def _plain(
    device: str, battery: float | None, status: DeviceStatus | None, states: dict[str, Scalar]
) -> Message:
    return Message(
        device=device,
        kind="status",
        readings=() if battery is None else (Reading("battery", battery),),
        status=status,
        states=MappingProxyType(states),
        flags=frozenset({Flag.TIME_MISSING}),
    )


def _keep_alive(body: str, device: str) -> Message:
    """Signal, A or V, and in newer firmware the battery."""
    values = body.split(",")
    battery = _number(values[2]) if len(values) > 2 else None
    loudness = _number(values[0])
    status = _status(battery, None, int(loudness) if loudness is not None else 0)
    fix = values[1].strip() if len(values) > 1 else ""
    states: dict[str, Scalar] = {"fix": fix == "A"} if fix in ("A", "V") else {}
    return _plain(device, battery, status, states)


def _numbers(body: str) -> dict[str, Scalar]:
    """The telephone numbers among the settings: behind the interval, up to three."""
    values = [value.strip() for value in body.split(",")[1:4]]
    return {
        f"phone_{place}": value
        for place, value in enumerate(values, 1)
        if _PHONE.fullmatch(value) is not None
    }


def _status(battery: float | None, charging: bool | None, loudness: int) -> DeviceStatus | None:
    """`loudness` is 0 to 31 as modems count (3GPP TS 27.007, +CSQ); 0 and more say nothing."""
    status = battery_status(battery, charging=charging)
    if not 0 < loudness <= _LOUDEST:
        return status
    return replace(status or DeviceStatus(), rssi_dbm=float(2 * loudness - 113))


def _position(kind: str, body: str, device: str) -> Message:
    """Date, time, latitude, longitude; then speed, course, flags, altitude, battery, …"""
    match = _FIX.fullmatch(body)
    if match is None:
        raise CodecError("bad_field", f"the position in !{kind} cannot be read")
    at = _moment(match)
    values = match[9].split(",") if match[9] else []
    flags = 1 if kind == "A" else _flags(values[2]) if len(values) > 2 else 0
    numbers = [_number(value) for value in values]
    battery = numbers[4] if kind != "A" and len(numbers) > 4 else None
    charging = bool(flags >> 22 & 1) if kind != "A" else None
    course = numbers[1] if kind != "A" and len(numbers) > 1 else None
    position = _fix(match, at, flags, numbers, course)
    if position is not None and kind != "A":
        position = replace(position, altitude_m=numbers[3] if len(numbers) > 3 else None)
    alarms = _alarms(flags)
    marks: set[Flag] = {Flag.REPLAYED} if kind == "B" else set()
    if at is None:
        marks.add(Flag.TIME_MISSING)
    if position is None or not position.valid:
        marks.add(Flag.POSITION_INVALID)
    return Message(
        device=device,
        kind="alarm" if any(not alarm.level for alarm in alarms) else "location",
        at=at,
        readings=() if battery is None else (Reading("battery", battery),),
        alarms=alarms,
        position=position,
        status=_status(battery, charging, flags >> 16 & 0b11111),
        states=MappingProxyType(_states(kind, flags, numbers)),
        flags=frozenset(marks),
    )


def _states(kind: str, flags: int, numbers: list[float | None]) -> dict[str, Scalar]:
    """What the flags say that is no alarm; of B and D satellites used, in view, HDOP."""
    states: dict[str, Scalar] = {name: True for bit, name in _STATE_BITS if flags >> bit & 1}
    if kind in ("B", "D"):
        names = ("satellites", "satellites_visible", "hdop")
        for name, value in zip(names, numbers[5:8], strict=False):
            if value is not None:
                states[name] = value if name == "hdop" else int(value)
    return states


def _fix(
    match: re.Match[str],
    at: datetime | None,
    flags: int,
    numbers: list[float | None],
    course: float | None,
) -> Position | None:
    lat, lon = float(match[7]), float(match[8])
    if abs(lat) > 90 or abs(lon) > 180:
        return None
    valid = bool(flags & 0b11) and (lat, lon) != (0, 0)
    heading = course if course is not None and 0 <= course <= 360 else None
    speed = numbers[0] if numbers else None
    return Position(lat, lon, at=at, valid=valid, speed_kmh=speed, course_deg=heading)


def _alarms(flags: int) -> tuple[AlarmSignal, ...]:
    """Every alarm of the flags, each kind once."""
    kinds = dict.fromkeys(kind for bit, kind in _ALARM_BITS.items() if flags >> bit & 1)
    detail = f"flags {flags:06X}"
    return tuple(AlarmSignal(kind, True, detail, kind in _STANDING) for kind in kinds)


def _moment(match: re.Match[str]) -> datetime | None:
    day, month, year, hour, minute, second = (int(match[place]) for place in range(1, 7))
    try:
        return datetime(year % 100 + 2000, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _flags(text: str) -> int:
    try:
        return int(text, 16) & 0xFFFFFFFF
    except ValueError:
        return 0


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


CODEC = Codec(name="minifinder", title="MiniFinder / Eview (TCP)", decode=decode, split=split)
