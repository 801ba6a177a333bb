"""GT06 (Concox, Jimi and many others): binary packets over TCP, `7878 … 0D0A` and `7979 … 0D0A`.

Length, protocol number, content, serial number, CRC-ITU. Only the login carries the IMEI, so that
the connection has to remember it (`Frame.device`). Source: Concox "GT06 GPS tracker communication
protocol" and frames of public decoder tests; later models add packets, of which those with a
position, an alarm or a battery are read.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from types import MappingProxyType

from devices.codecs.binary import Reader
from devices.codecs.gt06 import commands, extras, information, models, positions
from devices.codecs.gt06.fields import Found
from devices.codecs.gt06.frames import (
    ANSWERED_LONG,
    WIFI,
    Packet,
    open_frame,
    split,
)
from devices.messages import Codec, Decoded, DeviceStatus, Flag, Frame, Message, Reading

_FARTHEST_ZONE = 14 * 60
_MAY_BE_EMPTY = frozenset({0x13, 0x23, 0x8A})
_ANSWERED = ANSWERED_LONG | frozenset(
    {0x13, 0x16, 0x19, 0x23, 0x26, 0x27, 0x32, 0x36, 0x39, 0x95, 0xA3, 0xA4, 0xA5, 0xA9}
    | {0x170, 0x1F2}
)

Handler = Callable[[Packet, Found], None]


def decode(frame: Frame) -> Decoded:
    """Decode one packet. Logins, heartbeats and alarms are answered.

    `Message.device` is the IMEI that the connection's login gave, empty when there was none; its
    times are those of the zone that the login named (`Frame.utc_offset`), else UTC. A wrong check
    sum is a warning. CodecError reasons: oversized, not_a_frame, truncated, bad_field.
    """
    packet = open_frame(frame)
    if packet.number not in _HANDLERS and packet.number & 0xFF in _HANDLERS:
        # The long form only has room for more, unless a number of its own says otherwise.
        packet = replace(packet, number=packet.number & 0xFF)
    warnings = () if packet.sound else ("bad_checksum: the check sum is wrong",)
    if packet.number == 0x01:
        return _login(packet, warnings)
    handler = _HANDLERS.get(packet.number)
    if handler is None:
        odd = f"packet {packet.number:02X} is not used"
        return Decoded((), (), (*warnings, odd), packet.device)
    if not packet.content and packet.number not in _MAY_BE_EMPTY:
        odd = f"packet {packet.number:02X} is empty"
        return Decoded((), _replies(packet), (*warnings, odd), packet.device)
    found = Found(zone=timezone(timedelta(minutes=frame.utc_offset)))
    handler(packet, found)
    messages = () if found.nothing else (_message(packet, found),)
    return Decoded(messages, _replies(packet), warnings, packet.device)


def _login(packet: Packet, warnings: tuple[str, ...]) -> Decoded:
    """0x01: IMEI; later models add their type and the zone of their times."""
    reader = Reader(packet.content)
    imei = reader.digits(8).lstrip("0")
    offset = None
    if reader.left >= 4:
        reader.take(2)
        word = reader.uint(2)
        hours, minutes = divmod(word >> 4, 100)
        offset = (hours * 60 + minutes) * (-1 if word >> 3 & 1 else 1)
        if abs(offset) > _FARTHEST_ZONE:
            offset = None
    return Decoded((), (packet.answer(),), warnings, imei, utc_offset=offset)


def _replies(packet: Packet) -> tuple[bytes, ...]:
    if packet.number == 0x8A and packet.frame.received_at is not None:
        now = packet.frame.received_at.astimezone(UTC)
        parts = (now.year - 2000, now.month, now.day, now.hour, now.minute, now.second)
        return (packet.answer(bytes(parts)),)
    if packet.number in WIFI and positions.is_wifi(packet):
        return (packet.answer_wifi(),)
    return (packet.answer(),) if packet.number in _ANSWERED else ()


def _message(packet: Packet, found: Found) -> Message:
    flags: set[Flag] = set()
    if found.at is None:
        flags.add(Flag.TIME_MISSING)
    position = found.position
    if position is not None:
        altitude, accuracy = found.altitude_m, found.accuracy_m
        position = replace(position, altitude_m=altitude, accuracy_m=accuracy)
        if not position.valid:
            flags.add(Flag.POSITION_INVALID)
    activated = any(not alarm.level for alarm in found.alarms.values())
    if found.late:
        flags.add(Flag.REPLAYED)
    battery = found.battery
    values = found.readings if battery is None else {"battery": battery, **found.readings}
    known = battery is not None or found.charging is not None
    return Message(
        device=packet.device,
        kind="alarm" if activated else "location" if position else "status",
        at=found.at,
        readings=tuple(Reading(metric, value) for metric, value in values.items()),
        alarms=tuple(found.alarms.values()),
        position=position,
        status=DeviceStatus(battery_percent=battery, charging=found.charging) if known else None,
        ack=found.ack,
        states=MappingProxyType(found.states),
        flags=frozenset(flags),
    )


def _text(packet: Packet, found: Found) -> None:
    """0x15 and 7979 21."""
    ascii_text = packet.number == 0x15 or packet.content[4:5] == b"\x01"
    encoding = "ascii" if ascii_text else "utf-16-be"
    text = packet.content[5:].decode(encoding, "replace")
    extras.read_text(found, text)
    flag = packet.content[1:5] if packet.number == 0x15 else packet.content[:4]
    found.ack = commands.answered(int.from_bytes(flag, "big"), text)


def _nothing(_: Packet, found: Found) -> None:
    """A question to us: there is nothing to store of it."""
    found.nothing = True


def _reading(read: Callable[[Found, Reader], None]) -> Handler:
    """A handler for packets whose content is all that matters."""
    return lambda packet, found: read(found, Reader(packet.content))


_HANDLERS: dict[int, Handler] = {
    **dict.fromkeys((0x10, 0x1A, 0x1E), positions.read_position),
    **dict.fromkeys((0x11, 0xA0), positions.read_wide_position),
    0x12: positions.read_plain_position,
    **dict.fromkeys((0x22, 0x2D, 0x31, 0x37), positions.read_reported_position),
    **dict.fromkeys((0x16, 0x26, 0x27, 0x32, 0xA4), positions.read_alarm_packet),
    **dict.fromkeys(WIFI, positions.read_wifi),
    **dict.fromkeys((0x18, 0x28, 0x2C, 0x2E, 0x33, 0xA1), positions.read_cells),
    0x13: _reading(extras.read_heartbeat),
    0x15: _text,
    0x19: positions.read_cell_alarm,
    0x23: _reading(extras.read_long_heartbeat),
    0x24: positions.read_cells_or_position,
    0x34: positions.read_prefixed_position,
    0x36: _reading(extras.read_states),
    0x38: _reading(models.read_uploaded_position),
    0x39: _reading(models.read_alarm_with_modules),
    0x61: _reading(models.read_key_position),
    0x8A: _nothing,
    0x94: _reading(information.read_voltage),
    0x95: _reading(extras.read_camera_alarm),
    0xA2: positions.read_position_or_cells,
    0xA3: positions.read_fence_or_status,
    0xA5: _reading(models.read_cell_alarm_4g),
    0xA7: _reading(models.read_address_request),
    0xA9: _reading(models.read_wifi_alarm),
    0xF3: positions.read_bare_wifi,
    0x121: _text,
    0x132: positions.read_long_position,
    0x133: positions.read_long_position,
    0x138: _reading(models.read_uploaded_position),
    0x170: _reading(extras.read_report),
    0x18C: _reading(information.read_vehicle),
    0x194: _reading(information.read_information),
    0x19B: _reading(information.read_serial),
    0x1F1: _reading(information.read_state_list),
    0x1F2: _reading(information.read_bluetooth),
}

CODEC = Codec(
    name="gt06",
    title="GT06 (TCP)",
    decode=decode,
    split=split,
    commands=frozenset(commands.FORMS),
    encode=commands.encode_command,
)
