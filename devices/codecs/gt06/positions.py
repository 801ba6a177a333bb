"""GT06: which way each packet with a position, an alarm or cells is to be read.

The same numbers mean different things to different makers: lengths tell them apart.
"""

from dataclasses import replace

from devices.alarms import AlarmKind
from devices.codecs.binary import Reader
from devices.codecs.gt06 import cells, models
from devices.codecs.gt06.cells import Listing
from devices.codecs.gt06.fields import (
    FULL_LEVEL,
    Found,
    read_alarm,
    read_charge,
    read_fix,
    read_gps,
    read_moment,
    read_odometer,
    read_state,
)
from devices.codecs.gt06.frames import POSITION, Packet
from devices.messages import CodecError

_LONG_CELL_AND_CLIMATE = 24
_COUNTED_CELLS = 44
_FENCED = frozenset({0x27, 0xA4})
_LISTINGS = {
    **dict.fromkeys((0x24, 0x28, 0x2E), Listing()),
    **dict.fromkeys((0x18, 0x2C), Listing(wifi=True)),
    0xA1: Listing(area=4, number=8),
    0xA2: Listing(area=4, number=8, wifi=True),
    0x33: Listing(count=6, number=4, wifi=True),
    0x34: Listing(number=4, advance=False, advance_first=True, wide_network=True),
}


def _start(packet: Packet, found: Found) -> Reader:
    """Time and GPS block; some models put the IMEI before them."""
    content = packet.content
    if len(content) > 14 and content[:8].hex().isdigit() and content[14] >> 4 == 0xC:
        content = content[8:]
    reader = Reader(content)
    read_fix(found, reader)
    return reader


def read_position(packet: Packet, found: Found) -> None:
    """0x10, 0x1A: no more than a position. 0x1E: the cell and its neighbours follow."""
    reader = _start(packet, found)
    if packet.number == 0x1E and reader.left >= 8:
        cells.read_cell(found, reader)


def read_plain_position(packet: Packet, found: Found) -> None:
    """0x12: the position and its cell; what is behind it differs from model to model."""
    reader = _start(packet, found)
    if reader.left >= 8:
        cells.read_cell(found, reader)
        models.read_behind_cell(found, reader)


def read_wide_position(packet: Packet, found: Found) -> None:
    """0x11 with a cell of longer numbers, 0xA0 with one of 4G; then why it was sent."""
    reader = _start(packet, found)
    if packet.number == 0xA0 and reader.left >= 15:
        cells.read_4g_cell(found, reader)
    elif packet.number == 0x11 and reader.left >= 10:
        cells.read_cell(found, reader, number=4, wide_network=True)
    if reader.left in (3, 7):
        models.read_report_tail(found, reader)


def read_reported_position(packet: Packet, found: Found) -> None:
    """0x22, 0x2D, 0x37, 0x31: as 0x12, with a tail behind the cell."""
    if packet.number == 0x22 and models.is_named_twice_timed(packet.content):
        models.read_named_position(found, Reader(packet.content))
        return
    reader = _start(packet, found)
    if found.at is None or reader.left < 11:
        return
    if reader.left == _LONG_CELL_AND_CLIMATE:
        cells.read_cell(found, reader, number=4)
        models.read_report_tail(found, reader, mode="event")
        models.read_climate_tail(found, reader)
    elif packet.number == 0x31 and reader.left in (19, 23):
        wide = 8 if reader.left == 23 else 4
        cells.read_cell(found, reader, number=wide, wide_network=True)
        models.read_report_tail(found, reader, mode="event")
        if reader.left == 6:
            read_odometer(found, reader.uint(4))
        found.altitude_m = float(reader.sint(2))
    else:
        cells.read_cell(found, reader)
        if reader.left >= 3:
            models.read_report_tail(found, reader, mode="event")
        if packet.number == 0x37:
            models.read_modules(found, reader)


def read_position_or_cells(packet: Packet, found: Found) -> None:
    """0xA2: a GPS block where the byte behind the time says so (length 12), else cells and WiFi."""
    if len(packet.content) > 6 and packet.content[6] >> 4 == 0xC:
        models.read_wide_report(found, Reader(packet.content))
    else:
        read_cells(packet, found)


def read_fence_or_status(packet: Packet, found: Found) -> None:
    """0xA3: a fence with a position, or the state of a device without GPS."""
    if len(packet.content) < POSITION:
        models.read_short_status(found, Reader(packet.content))
    else:
        read_alarm_packet(packet, found)


def read_cells_or_position(packet: Packet, found: Found) -> None:
    """0x24: cells, but one model sends a position, and one counts the cells."""
    if len(packet.content) == 41:
        models.read_supplied_position(found, Reader(packet.content))
    else:
        read_cells(packet, found)


def read_cells(packet: Packet, found: Found) -> None:
    """Time, then cells and WiFi in sight, which we do not turn into a position."""
    reader = Reader(packet.content)
    found.at = read_moment(reader, found.zone)
    found.states["cells_in_sight"] = 0
    form = _LISTINGS[packet.number]
    if packet.number == 0x24 and len(packet.content) == _COUNTED_CELLS:
        form = Listing(count=0, advance=False, advance_first=True)
    try:
        cells.read_listing(found, reader, form)
    except CodecError:
        # Another model's list: that the device lives and when is worth keeping.
        found.states["cells"] = packet.content[6:].hex()[:200]


def is_wifi(packet: Packet) -> bool:
    """Whether a 0x17 or 0x69 is about WiFi and not a position with a card."""
    return not (
        packet.number == 0x17 and len(packet.content) == 35 and packet.content[6] >> 4 == 0xC
    )


def read_wifi(packet: Packet, found: Found) -> None:
    """0x17, 0x69: the time is in decimal digits; 0x17 of one model is a position and a card."""
    if not is_wifi(packet):
        models.read_card_position(found, Reader(packet.content))
        return
    _decimal_time(packet, found)
    try:
        cells.read_wifi_report(found, Reader(packet.content[6:]), packet.length)
    except CodecError:
        found.states["cells"] = packet.content[6:].hex()[:200]


def read_bare_wifi(packet: Packet, found: Found) -> None:
    """0xF3: WiFi only."""
    _decimal_time(packet, found)
    cells.read_bare_wifi(found, Reader(packet.content[6:]))


def _decimal_time(packet: Packet, found: Found) -> None:
    text = packet.content[:6].hex()
    found.states["cells_in_sight"] = 0
    if text.isdigit() and len(text) == 12:
        digits = bytes(int(text[at : at + 2]) for at in range(0, 12, 2))
    else:
        digits = packet.content[:6]
    if len(digits) == 6:
        found.at = read_moment(Reader(digits), found.zone)


def read_alarm_packet(packet: Packet, found: Found) -> None:
    """0x16, 0x26, 0x27, 0x32: GPS, cell, state, voltage level, signal, alarm code, language."""
    reader = _start(packet, found)
    if reader.left < 6:
        return
    fenced = packet.number in _FENCED
    unlengthed = reader.peek(1)[0] in (1, 2, 3)
    tail = cells.read_cell_and_tail(found, reader.rest(), 6 if fenced else 5)
    if unlengthed and len(tail) == 5:
        # VXT and others: the supply's voltage instead of a level, and no alarm code.
        read_state(found, tail[0])
        found.states["power_v"] = int.from_bytes(tail[1:3], "big") / 100
        found.states["signal_level"] = tail[3]
        return
    if fenced and len(tail) >= 5 and tail[4] >> 4:
        # The upper half of the language makes other alarms of the same codes.
        found.states["alarm_code"] = tail[4] >> 4 << 8 | tail[3]
        _tail(found, tail[:3] + b"\0")
    else:
        _tail(found, tail)
        _pressed(found, tail)
    more = tail[6 if fenced else 5 :]
    if fenced and len(tail) >= 6 and tail[5] != 0xFF:
        found.states["fence"] = tail[5]
    if len(more) == 2:
        found.altitude_m = float(int.from_bytes(more, "big", signed=True))
    elif len(more) == 4:
        read_odometer(found, int.from_bytes(more, "big"))


def _pressed(found: Found, tail: bytes) -> None:
    """An alarm packet without a code, SOS in its state byte: older models press the button so."""
    sos = found.alarms.get(AlarmKind.SOS)
    if sos is not None and sos.level and len(tail) >= 4 and tail[3] == 0:
        found.alarms[AlarmKind.SOS] = replace(sos, level=False)


def read_cell_alarm(packet: Packet, found: Found) -> None:
    """0x19: as an alarm, without GPS; the longer form of some models is a list of cells."""
    if len(packet.content) >= 18:
        found.nothing = True
        return
    reader = Reader(packet.content)
    cells.read_cell(found, reader)
    _tail(found, reader.rest())


def _tail(found: Found, tail: bytes) -> None:
    if len(tail) < 4:
        return
    read_state(found, tail[0])
    read_charge(found, tail[1])
    found.states["signal_level"] = tail[2]
    # Some models have another meaning for 0x19, low battery: a full one is not low.
    full = tail[1] == FULL_LEVEL and tail[3] == 0x19
    read_alarm(found, 0 if full else tail[3])
    if full:
        found.states["alarm_code"] = tail[3]


def read_prefixed_position(packet: Packet, found: Found) -> None:
    """0x34: four bytes of state before time and GPS block; of one model, cells."""
    if len(packet.content) == 50:
        read_cells(packet, found)
        return
    reader = Reader(packet.content)
    reader.take(4)
    read_fix(found, reader)
    if reader.left >= 29:
        models.read_named_vehicle(found, reader)


def read_long_position(packet: Packet, found: Found) -> None:
    """7979 32 and 33: time, then GPS with its length, which is 0 without a fix."""
    reader = Reader(packet.content)
    found.at = read_moment(reader, found.zone)
    if reader.uint(1):
        read_gps(found, reader)
    models.read_long_position(found, reader, alarm=packet.number == 0x133)
