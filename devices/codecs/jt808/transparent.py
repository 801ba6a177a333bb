"""JT/T 808 message 0x0900: whatever the maker likes, behind a byte that says what.

0x40 a card reader, 0x41 a body computer's sentence, 0x53 and 0x54 positions with tags or samples,
0xF0 values, trouble codes and events of a vehicle, 0xFF a position with its time first.
"""

from collections.abc import Callable

from devices.codecs.binary import Reader
from devices.codecs.jt808.location import read_location, read_position, read_status, read_time
from devices.codecs.jt808.report import Location, read_text, unread
from devices.codecs.jt808.vehicle import number, read_sentence, text
from devices.messages import CodecError, Position

_POSITION = 24
_TAG = 9
_COORDINATES = 12
_CONTROL = bytes(range(0x20))
_EVENTS = {
    0x02: "power_cut",
    0x1A: "harsh_acceleration",
    0x1B: "harsh_braking",
    0x1C: "harsh_cornering",
    0x1D: "lane_change",
    0x1E: "lane_change",
    0x1F: "lane_change",
    0x23: "fatigue",
    0x26: "collision",
    0x27: "collision",
    0x28: "collision",
    0x31: "door_alarm",
    0x32: "door_alarm",
}
_VALUES: dict[int, Callable[[Location, Reader], None]] = {
    **dict.fromkeys((0x0102, 0x0528, 0x0546), number("odometer_km", 4, 10)),
    0x0103: number("fuel", 4, 100),
    **dict.fromkeys((0x0105, 0x052C), number("fuel_used", 4, 100)),
    0x0111: number("fuel_temperature", 1, 1, -40),
    0x012E: number("oil_level", 2, 10),
    **dict.fromkeys((0x014A, 0x0537, 0x0538, 0x0539), number("fuel_consumption", 2, 100)),
    0x052A: number("fuel", 2, 100),
    0x052B: number("fuel", 1),
    0x052D: number("coolant_temperature", 1, 1, -40),
    0x052E: number("air_temperature", 1, 1, -40),
    0x0530: number("power_v", 2, 1000),
    0x0535: number("vehicle_speed_kmh", 2, 10),
    0x0536: number("rpm", 2),
    0x053D: number("intake_pressure", 2, 10),
    0x0544: number("liquid_level", 1),
    **dict.fromkeys((0x0547, 0x0548), number("throttle", 1)),
}


def read_transparent(body: bytes) -> tuple[Location, bool]:
    """What such a message says, and whether it comes late. CodecError: truncated, bad_field."""
    found, late = Location(), False
    kind, reader = (body[0], Reader(body[1:])) if body else (-1, Reader(b""))
    if kind in (0x53, 0x54) and reader.left >= _POSITION:
        found = read_location(b"\0\0\0\0" + reader.take(_POSITION))
        _read_samples(found, reader) if kind == 0x54 else _read_tags(found, reader)
    elif kind == 0xFF and reader.left >= 20:
        _read_timed(found, reader)
    elif kind == 0xF0 and reader.left >= 9:
        late = _read_vehicle(found, reader)
    elif kind == 0x41:
        read_sentence(found, reader.rest().decode("ascii", "replace"))
    elif kind == 0x40:
        _read_card(found, reader)
    else:
        found.state("transparent", f"{kind & 0xFF:02X}")
        found.state("length", len(body))
        text("result")(found, reader)
    found.radio()
    return found, late


def _read_card(found: Location, reader: Reader) -> None:
    """0x40: `GTSL|…|card|…` of a card reader."""
    said = read_text(reader.rest().lstrip(_CONTROL))
    parts = said.split("|")
    found.state("result", said)
    if said.startswith("GTSL") and len(parts) > 4:
        found.state("card", parts[4])


def _read_timed(found: Location, reader: Reader) -> None:
    """0xFF: time first, then a position without alarms and state."""
    found.at = read_time(reader.take(6))
    lat, lon = reader.sint(4) / 1e6, reader.sint(4) / 1e6
    found.altitude_m = float(reader.sint(2))
    speed, course = reader.uint(2) / 10, reader.uint(2)
    if abs(lat) <= 90 and abs(lon) <= 180:
        valid = (lat, lon) != (0, 0)
        found.position = Position(
            lat, lon, at=found.at, valid=valid, speed_kmh=speed, course_deg=course
        )


def _read_samples(found: Location, reader: Reader) -> None:
    """0x54: a mask, a time and what the mask announces; the last temperature counts."""
    while reader.left >= 8:
        mask = reader.uint(2)
        reader.take(6)
        try:
            reader.take(2 if mask & 1 else 0)
            if mask & 2:
                found.readings["ambient_temperature"] = reader.sint(2) / 10
                found.readings["humidity"] = reader.sint(2) / 10
            for bit, size in ((2, 2), (3, 6), (4, 2)):
                reader.take(size if mask >> bit & 1 else 0)
        except CodecError as error:
            found.warnings.append(f"samples: {error}")
            return


def _read_tags(found: Location, reader: Reader) -> None:
    """0x53: Bluetooth tags in sight: number, address, dBm, what the tag sends, with its length."""
    if reader.left:
        reader.take(1)
    while reader.left >= _TAG:
        place = f"tag{reader.uint(1) + 1}"
        found.state(f"{place}_mac", reader.take(6).hex())
        found.state(f"{place}_rssi_dbm", reader.sint(1))
        unread(found, f"{place}_data", Reader(reader.take(min(reader.uint(1), reader.left))))


def _read_vehicle(found: Location, reader: Reader) -> bool:
    """0xF0: time, whether late, kind of vehicle, what of; then where. Whether it comes late."""
    found.at = read_time(reader.take(6))
    late = reader.uint(1) > 0
    reader.take(1)
    kind = reader.uint(1)
    found.state("vehicle_report", kind)
    try:
        _read_values(found, kind, reader)
    except CodecError as error:
        found.warnings.append(f"vehicle: {error}")
    return late


def _read_values(found: Location, kind: int, reader: Reader) -> None:
    if kind == 0x01:
        for _ in range(reader.uint(1)):
            code, value = reader.uint(2), Reader(reader.take(reader.uint(1)))
            handler = _VALUES.get(code)
            if handler is None:
                unread(found, f"value_{code:04x}", value)
            else:
                handler(found, value)
    elif kind == 0x02:
        _read_codes(found, reader)
    elif kind == 0x03:
        for _ in range(reader.uint(1)):
            event = reader.uint(1)
            found.state(_EVENTS.get(event, f"event_{event:02x}"), True)
            reader.take(reader.uint(1))
    elif kind == 0x0B and reader.uint(1) and reader.left >= 17:
        found.state("vin", read_text(reader.take(17)))
    elif kind == 0x15:
        found.state("event", reader.uint(4))
    if kind in (0x01, 0x02, 0x03) and reader.left >= _COORDINATES:
        status, lat, lon = reader.uint(4), reader.uint(4) / 1e6, reader.uint(4) / 1e6
        read_status(found, status)
        found.position = read_position(status, lat, lon, found.at)


def _read_codes(found: Location, reader: Reader) -> None:
    """Systems of the vehicle, each with its trouble codes."""
    codes: list[str] = []
    for _ in range(reader.uint(2)):
        reader.take(4)
        for _ in range(reader.uint(2)):
            reader.take(8)
            codes.append(read_text(reader.take(reader.uint(2))))
    if codes:
        found.state("trouble_codes", " ".join(codes)[:200])
