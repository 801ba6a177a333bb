"""Items of JT/T 808 reports about locks, cards and seals: makers' own."""

from dataclasses import replace

from devices.codecs.binary import Reader
from devices.codecs.jt808.report import Location, read_text, unread

_CARD_EVENTS = range(0x61, 0x67)


def read_lock_command(found: Location, data: Reader) -> None:
    """0x0B: a command to the lock, the card or password that gave it, what came of it."""
    length = data.left
    found.state("lock_command", data.uint(1))
    if length in (5, 6):
        found.state("lock_card", data.uint(4))
    elif length >= 7:
        found.state("lock_password", read_text(data.take(6)))
    if length % 2 == 0:
        found.state("unlock_result", data.uint(1))


def read_lock_event(found: Location, data: Reader) -> None:
    """0x60: an event; some name the lock and the card."""
    event = data.uint(2)
    found.state("event", event)
    if event in _CARD_EVENTS and data.left >= 14:
        found.state("lock_id", data.take(6).hex())
        found.state("card", read_text(data.take(8)))


def read_seals(found: Location, data: Reader) -> None:
    """0x63: number, mV, sealed, two more, of each lock."""
    place = 0
    while data.left >= 11:
        place += 1
        found.state(f"lock_{place}_id", data.take(6).hex())
        found.state(f"lock_{place}_battery_v", data.uint(2) / 1000)
        found.state(f"lock_{place}_sealed", data.uint(1) == ord("1"))
        data.take(2)


def read_locks(found: Location, data: Reader) -> None:
    """0xD5: voltage in hundredths; else a count, then number, card, battery, state of each lock."""
    if data.left == 2:
        found.state("battery_v", data.uint(2) / 100)
        return
    for place in range(1, data.uint(1) + 1):
        found.state(f"lock_{place}_id", data.take(5).hex())
        found.state(f"lock_{place}_card", data.take(5).hex())
        found.state(f"lock_{place}_battery", data.uint(1))
        found.state(f"lock_{place}_locked", not data.uint(2) >> 5 & 1)


def read_string_lock(found: Location, data: Reader) -> None:
    """0xDA: how often the string was cut, then string, motion and cover."""
    if data.left < 3:
        return
    found.state("string_cuts", data.uint(2))
    status = data.uint(1)
    found.state("string", bool(status & 1))
    found.state("moving", bool(status >> 2 & 1))
    found.state("cover", bool(status >> 3 & 1))


def read_padlock_tail(found: Location, reader: Reader) -> None:
    """Behind a report of a padlock (0x5501): altitude, what woke it, commands, how it lies."""
    while reader.left >= 2:
        number, length = reader.uint(1), reader.uint(1)
        data = Reader(reader.take(min(length, reader.left)))
        if number == 0x02 and data.left == 2:
            found.altitude_m = float(data.sint(2))
        elif number == 0x0A and data.left in (3, 4) and found.cells:
            country, network = data.uint(2), data.uint(data.left)
            found.cells = [replace(found.cells[0], country=country, network=network)]
        elif number == 0x10 and data.left == 1:
            found.state("wake_source", data.uint(1))
        elif number == 0x0B and data.left:
            read_lock_command(found, data)
        elif number == 0x0C and data.left == 6:
            x, y, z = data.sint(2), data.sint(2), data.sint(2)
            found.state("tilt", f"[{x},{y},{z}]")
        elif number == 0xFC and data.left:
            found.state("fence", data.uint(1))
        else:
            unread(found, f"item_{number:02x}", data)
