"""GT06 (Concox, Jimi and many others): binary packets over TCP, `7878 … 0D0A` and `7979 … 0D0A`.

Length, protocol number, content, serial number, CRC-ITU. Only the login carries the IMEI, so that
the connection has to remember it (`Frame.device`). Source: Concox "GT06 GPS tracker communication
protocol" and frames of public decoder tests; later models add packets, of which those with a
position, an alarm or a battery are read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from devices.codecs import gt06_commands as commands
from devices.codecs import gt06_extras as extras
from devices.codecs import gt06_models as models
from devices.codecs.binary import Reader, crc_itu
from devices.codecs.gt06_fields import (
    FULL_LEVEL,
    Found,
    read_alarm,
    read_charge,
    read_gps,
    read_moment,
    read_state,
)
from devices.messages import (
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
)

MAX_FRAME = 8 * 1024
"""Longest packet in bytes."""

_SHORT, _LONG, _END = b"\x78\x78", b"\x79\x79", b"\r\n"
_TAIL = 6  # serial number, check sum, end
_CELL_AND_MORE = frozenset({10, 13, 20})
_LONG_CELL_AND_CLIMATE = 24


@dataclass(frozen=True, slots=True)
class _Packet:
    """A packet taken apart. `number` of the long form counts from 0x100."""

    number: int
    content: bytes
    serial: bytes
    sound: bool
    device: str
    received_at: datetime | None

    def answer(self, content: bytes = b"") -> bytes:
        """The short answer with the packet's number and serial number."""
        body = bytes([5 + len(content), self.number & 0xFF]) + content + self.serial
        return _SHORT + body + crc_itu(body).to_bytes(2, "big") + _END


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream by the packets' lengths; where a length does not lead to 0D0A, at the next 0D0A.

    Raises CodecError (oversized) when the buffer only grows.
    """
    frames: list[bytes] = []
    begin = 0
    while True:
        starts = [place for mark in (_SHORT, _LONG) if (place := buffer.find(mark, begin)) >= 0]
        if not starts:
            break
        start = min(starts)
        end = _end_of(buffer, start)
        if start > begin:
            frames.append(buffer[begin:start])
            begin = start
        if end < 0:
            break
        frames.append(buffer[start:end])
        begin = end
    rest = buffer[begin:]
    if len(rest) > MAX_FRAME and not frames:
        raise CodecError("oversized", f"more than {MAX_FRAME} bytes and no end of a packet")
    return frames, rest


def _end_of(buffer: bytes, start: int) -> int:
    """Where the packet ends, -1 while that cannot be known."""
    long = buffer.startswith(_LONG, start)
    head = 4 if long else 3
    if len(buffer) < start + head:
        return -1
    length = int.from_bytes(buffer[start + 2 : start + head], "big")
    if 0 < length <= MAX_FRAME // 2:
        end = start + head + length + 2
        if len(buffer) < end:
            return -1
        if buffer[end - 2 : end] == _END:
            return end
    found = buffer.find(_END, start + head)
    return found + 2 if found >= 0 else -1


def decode(frame: Frame) -> Decoded:
    """Decode one packet. Logins, heartbeats and alarms are answered.

    `Message.device` is the IMEI that the connection's login gave, empty when there was none.
    A wrong check sum is a warning. CodecError reasons: oversized, not_a_frame, truncated,
    bad_field.
    """
    packet = _open(frame)
    warnings = () if packet.sound else ("bad_checksum: the check sum is wrong",)
    if packet.number == 0x01:
        imei = Reader(packet.content).digits(8).lstrip("0")
        return Decoded((), (packet.answer(),), warnings, imei)
    handler = _HANDLERS.get(packet.number)
    if handler is None:
        odd = f"packet {packet.number:02X} is not used"
        return Decoded((), (), (*warnings, odd), packet.device)
    found = handler(packet)
    replies = (packet.answer(),) if packet.number in _ANSWERED else ()
    if packet.number == 0x8A and packet.received_at is not None:
        now = packet.received_at.astimezone(UTC)
        parts = (now.year - 2000, now.month, now.day, now.hour, now.minute, now.second)
        replies = (packet.answer(bytes(parts)),)
    messages = () if found is None else (_message(packet, found),)
    return Decoded(messages, replies, warnings, packet.device)


def _open(frame: Frame) -> _Packet:
    data = frame.payload
    if len(data) > MAX_FRAME:
        raise CodecError("oversized", f"{len(data)} bytes are more than {MAX_FRAME}")
    if data[:2] not in (_SHORT, _LONG) or data[-2:] != _END or len(data) < 6:
        raise CodecError("not_a_frame", "a packet stands between 7878 or 7979 and 0D0A")
    long = data[:2] == _LONG
    head = 4 if long else 3
    length = int.from_bytes(data[2:head], "big")
    number = data[head] + (0x100 if long else 0)
    if length == 0 or len(data) < head + 1 + _TAIL:
        # WiFi packets of some models have neither length nor serial number nor check sum.
        return _Packet(number, data[head + 1 : -2], b"\0\0", True, frame.device, frame.received_at)
    content, serial = data[head + 1 : -_TAIL], data[-_TAIL:-4]
    sound = crc_itu(data[2:-4]) == int.from_bytes(data[-4:-2], "big")
    return _Packet(number, content, serial, sound, frame.device, frame.received_at)


def _message(packet: _Packet, found: Found) -> Message:
    flags: set[Flag] = set()
    if found.at is None:
        flags.add(Flag.TIME_MISSING)
    if found.position is not None and not found.position.valid:
        flags.add(Flag.POSITION_INVALID)
    activated = any(not alarm.level for alarm in found.alarms.values())
    if found.late:
        flags.add(Flag.REPLAYED)
    battery = found.battery
    values = found.readings if battery is None else {"battery": battery, **found.readings}
    known = battery is not None or found.charging is not None
    return Message(
        device=packet.device,
        kind="alarm" if activated else "location" if found.position else "status",
        at=found.at,
        readings=tuple(Reading(metric, value) for metric, value in values.items()),
        alarms=tuple(found.alarms.values()),
        position=found.position,
        status=DeviceStatus(battery_percent=battery, charging=found.charging) if known else None,
        ack=found.ack,
        states=MappingProxyType(found.states),
        flags=frozenset(flags),
    )


def _position(packet: _Packet) -> Found:
    found, _ = _start(packet)
    return found


def _plain_position(packet: _Packet) -> Found:
    """0x12: the position and its cell; what is behind it differs from model to model."""
    found, reader = _start(packet)
    if reader.left in _CELL_AND_MORE:
        reader.take(8)
        models.read_behind_cell(found, reader)
    return found


def _reported_position(packet: _Packet) -> Found:
    """0x22, 0x2D, 0x37, 0x31: as 0x12, with a tail behind the cell."""
    if packet.number == 0x22 and models.is_named_twice_timed(packet.content):
        return models.read_named_position(packet.content)
    found, reader = _start(packet)
    if found.at is not None and reader.left >= 11:
        if reader.left == _LONG_CELL_AND_CLIMATE:
            reader.take(9)
        elif packet.number == 0x31 and reader.left in (19, 23):
            reader.take(14)
        else:
            country = reader.uint(2)
            reader.take(min(7 if country >> 15 else 6, reader.left))
        if reader.left >= 3:
            extras.read_position_tail(found, reader)
    return found


def _start(packet: _Packet) -> tuple[Found, Reader]:
    """Time and GPS block; some models put the IMEI before them."""
    content = packet.content
    if len(content) > 14 and content[:8].hex().isdigit() and content[14] >> 4 == 0xC:
        content = content[8:]
    found, reader = Found(), Reader(content)
    found.at = read_moment(reader)
    read_gps(found, reader)
    return found, reader


def _position_or_cells(packet: _Packet) -> Found:
    """0xA2: a GPS block where the byte behind the time says so (length 12), else cells and WiFi."""
    if len(packet.content) > 6 and packet.content[6] >> 4 == 0xC:
        return models.read_wide_report(packet.content)
    return _cells(packet)


def _position_or_status(packet: _Packet) -> Found:
    """0xA3: a fence with a position, or the state of a device without GPS."""
    if len(packet.content) < 18:
        return models.read_short_status(packet.content)
    return _position(packet)


def _cells_or_position(packet: _Packet) -> Found:
    """0x24: cells, but one model sends a position."""
    if len(packet.content) == 41:
        return models.read_supplied_position(packet.content)
    return _cells(packet)


def _cells(packet: _Packet) -> Found:
    """Time, then cells and WiFi in sight, which we do not turn into a position."""
    found = Found(at=read_moment(Reader(packet.content)))
    found.states["cells_in_sight"] = True
    return found


def _wifi(packet: _Packet) -> Found:
    """0x17, 0x69: the time is in decimal digits; 0x17 of one model is a position and a card."""
    if packet.number == 0x17 and len(packet.content) == 35 and packet.content[6] >> 4 == 0xC:
        return models.read_card_position(packet.content)
    text = packet.content[:6].hex()
    found = Found()
    if text.isdigit() and len(text) == 12:
        found.at = read_moment(Reader(bytes(int(text[at : at + 2]) for at in range(0, 12, 2))))
    found.states["cells_in_sight"] = True
    return found


def _alarm(packet: _Packet) -> Found:
    """0x16, 0x26, 0x27, 0x32: GPS, cell, state, voltage level, signal, alarm code, language."""
    found, reader = _start(packet)
    if reader.left >= 9:
        length = reader.uint(1)
        reader.take(min(max(8, length - 1), reader.left))
    tail = reader.rest()
    if packet.number in (0x27, 0xA4) and len(tail) >= 5 and tail[4] >> 4:
        # The upper half of the language makes other alarms of the same codes.
        found.states["alarm_code"] = tail[4] >> 4 << 8 | tail[3]
        tail = tail[:3] + b"\0"
    _tail(found, tail, wide_voltage=packet.number == 0x16)
    return found


def _cell_alarm(packet: _Packet) -> Found | None:
    """0x19: as an alarm, without GPS; the longer form of some models is a list of cells."""
    if len(packet.content) >= 18:
        return None
    found = Found()
    _tail(found, packet.content[8:], wide_voltage=False)
    return found


def _tail(found: Found, tail: bytes, *, wide_voltage: bool) -> None:
    if len(tail) < 4:
        return
    read_state(found, tail[0])
    if wide_voltage and len(tail) == 6:
        # One model has a voltage of two bytes here.
        read_alarm(found, tail[4])
    else:
        read_charge(found, tail[1])
        # Some models have another meaning for 0x19, low battery: a full one is not low.
        full = tail[1] == FULL_LEVEL and tail[3] == 0x19
        read_alarm(found, 0 if full else tail[3])
        if full:
            found.states["alarm_code"] = tail[3]


def _prefixed_position(packet: _Packet) -> Found:
    """0x34: four bytes of state before time and GPS block; of one model, cells."""
    if len(packet.content) == 50:
        return _cells(packet)
    found, reader = Found(), Reader(packet.content[4:])
    found.at = read_moment(reader)
    read_gps(found, reader)
    return found


def _long_position(packet: _Packet) -> Found:
    """7979 32 and 33: time, then GPS with its length, which is 0 without a fix."""
    found, reader = Found(), Reader(packet.content)
    found.at = read_moment(reader)
    if reader.uint(1):
        read_gps(found, reader)
    if packet.number == 0x133:
        models.read_long_alarm(found, reader)
    return found


def _text(packet: _Packet) -> Found:
    """0x15 and 7979 21."""
    ascii_text = packet.number == 0x15 or packet.content[4:5] == b"\x01"
    encoding = "ascii" if ascii_text else "utf-16-be"
    found = extras.read_text(packet.content[5:], encoding=encoding)
    flag = packet.content[1:5] if packet.number == 0x15 else packet.content[:4]
    text = packet.content[5:].decode(encoding, "replace")
    found.ack = commands.answered(int.from_bytes(flag, "big"), text)
    return found


def _reading(read: Callable[[bytes], Found]) -> Callable[[_Packet], Found]:
    """A handler for packets whose content is all that matters."""
    return lambda packet: read(packet.content)


def _information(packet: _Packet) -> Found:
    """Packets of which we only say that they came."""
    found = Found()
    found.states["packet"] = f"{packet.number:02X}"
    return found


_ANSWERED = frozenset(
    {0x13, 0x16, 0x19, 0x23, 0x26, 0x27, 0x32, 0x36, 0x39, 0x95, 0xA3, 0xA4, 0xA5, 0xA9}
    | {0x132, 0x133}
)
_HANDLERS: dict[int, Callable[[_Packet], Found | None]] = {
    **dict.fromkeys((0x10, 0x11, 0x1A, 0x1E, 0x61, 0xA0), _position),
    0x12: _plain_position,
    **dict.fromkeys((0x22, 0x2D, 0x31, 0x37), _reported_position),
    **dict.fromkeys((0x16, 0x26, 0x27, 0x32, 0xA4), _alarm),
    **dict.fromkeys((0x17, 0x69), _wifi),
    **dict.fromkeys((0x18, 0x28, 0x2C, 0x2E, 0x33, 0xA1, 0xF3), _cells),
    0x24: _cells_or_position,
    0x38: _reading(models.read_uploaded_position),
    0x39: _reading(models.read_alarm_with_modules),
    0xA3: _position_or_status,
    0xA5: _reading(models.read_cell_alarm_4g),
    0xA9: _reading(models.read_wifi_alarm),
    0x13: _reading(extras.read_heartbeat),
    0x15: _text,
    0x19: _cell_alarm,
    0x23: _reading(extras.read_long_heartbeat),
    0x34: _prefixed_position,
    0x36: _reading(extras.read_states),
    0x8A: lambda _: None,
    0x94: _reading(extras.read_voltage),
    0x95: _reading(extras.read_camera_alarm),
    0xA2: _position_or_cells,
    0x121: _text,
    0x132: _long_position,
    0x133: _long_position,
    0x170: _reading(extras.read_modules),
    0x18C: _information,
    0x194: _reading(extras.read_information),
    0x19B: _reading(extras.read_serial),
    0x1F1: _reading(extras.read_state_list),
    0x1F2: _reading(extras.read_bluetooth),
}

CODEC = Codec(
    name="gt06",
    title="GT06 (TCP)",
    decode=decode,
    split=split,
    commands=frozenset(commands.FORMS),
    encode=commands.encode_command,
)
