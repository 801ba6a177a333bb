"""GT06: cells and WiFi in sight, and the cell with a length that stands before an alarm's tail.

A cell is country, network, area, number. The highest bit of the country says that the network's
number has two bytes. 2G cells have an area of two bytes and a number of three, 4G ones four and
eight, and some makers write numbers of four.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from devices.codecs.binary import Reader
from devices.codecs.gt06.fields import Found
from devices.codecs.radio import Cell, Wifi, dbm, radio_states

_TWO_BYTES = 0x8000
# Bytes of a cell without its length → bytes of network, area, number.
_FORMS = {8: (1, 2, 3), 9: (1, 2, 4), 10: (2, 2, 4), 15: (1, 4, 8), 16: (2, 4, 8)}
_WIDE_NETWORK_FORMS = {9: (2, 2, 3), 10: (2, 2, 4), 16: (2, 4, 8)}


def _cell(country: int, network: int, area: int, number: int) -> list[Cell]:
    """The cell, unless its fields are empty."""
    known = country & 0x7FFF and (area or number)
    return [Cell(country & 0x7FFF, network, area, number)] if known else []


def _network(reader: Reader, *, wide: bool = False) -> tuple[int, int]:
    country = reader.uint(2)
    return country, reader.uint(2 if country & _TWO_BYTES or wide else 1)


def note(found: Found, cells: Iterable[Cell], wifi: Iterable[Wifi] = ()) -> None:
    """Say what is in sight."""
    found.states.update(radio_states(cells, wifi))


def read_cell(
    found: Found, reader: Reader, *, area: int = 2, number: int = 3, wide_network: bool = False
) -> None:
    """One cell; by default in the form of 2G, 8 bytes."""
    country, network = _network(reader, wide=wide_network)
    note(found, _cell(country, network, reader.uint(area), reader.uint(number)))


def read_4g_cell(found: Found, reader: Reader) -> None:
    """One cell with an area of four bytes and a number of eight."""
    read_cell(found, reader, area=4, number=8)


def read_cell_and_tail(found: Found, block: bytes, tail: int) -> bytes:
    """A cell with its length, then a tail of `tail` bytes and maybe more; returns the tail.

    Makers count the length with and without its own byte: the one that leaves the tail is right.
    A first byte that can only be a country's means that there is no length at all.
    """
    first = block[0]
    if 1 <= first <= 3 or first & 0x80:
        size = 9 if first & 0x80 else 8
        read_block(found, block[:size])
        return block[size:]
    size = _size_of_cell(first, len(block) - 1, tail)
    read_block(found, block[1 : 1 + size])
    return block[1 + size :]


def _size_of_cell(length: int, after: int, tail: int) -> int:
    sizes = [size for size in (length - 1, length) if size in _FORMS]
    for more in (0, 2, 4):
        for size in sizes:
            if after - size == tail + more:
                return size
    return next((size for size in sizes if after - size >= tail), max(after - tail, 0))


def read_block(found: Found, data: bytes) -> None:
    """One cell whose bytes are counted already; nothing is said of an empty one."""
    note(found, _cells_of_block(data))


def _cells_of_block(data: bytes) -> list[Cell]:
    forms = _WIDE_NETWORK_FORMS if data and data[0] & 0x80 else _FORMS
    form = forms.get(len(data)) or _FORMS.get(len(data))
    if form is None:
        return []
    reader = Reader(data)
    country = reader.uint(2)
    return _cell(country, *(reader.uint(size) for size in form))


def read_neighbours(found: Found, cell: bytes, more: bytes, wifi: bytes) -> None:
    """7979 32 and 33: the cell, others of its network (area, number, loudness), WiFi."""
    cells = _cells_of_block(cell)
    reader = Reader(more)
    while cells and reader.left >= 6:
        area, number = reader.uint(2), reader.uint(3)
        reader.take(1)
        cells.extend(_cell(cells[0].country, cells[0].network, area, number))
    note(found, cells, _wifi(Reader(wifi), len(wifi) // 7))


@dataclass(frozen=True, slots=True)
class Listing:
    """How a packet lists cells: how many (0: a byte says so), bytes of their fields, what more."""

    count: int = 7
    area: int = 2
    number: int = 3
    advance: bool = True
    advance_first: bool = False
    wide_network: bool = False
    wifi: bool = False


def read_listing(found: Found, reader: Reader, form: Listing) -> None:
    """Network, then cells, each with its loudness, then WiFi."""
    if form.advance_first:
        reader.take(1)
    country, network = _network(reader, wide=form.wide_network)
    cells: list[Cell] = []
    for _ in range(form.count or reader.uint(1)):
        area, number = reader.uint(form.area), reader.uint(form.number)
        reader.take(1)
        cells.extend(_cell(country, network, area, number))
    if form.advance and reader.left:
        reader.take(1)
    wifi = list(_wifi(reader, reader.uint(1))) if form.wifi and reader.left else []
    note(found, cells, wifi)


def _wifi(reader: Reader, count: int) -> Iterable[Wifi]:
    for _ in range(min(count, reader.left // 7)):
        found = Wifi(reader.take(6), dbm(reader.uint(1)))
        if any(found.address):
            yield found


def read_wifi_report(found: Found, reader: Reader, count: int) -> None:
    """0x17, 0x69: WiFi (`count` stands in the packet's length), then cells with short numbers."""
    wifi = list(_wifi(reader, count))
    cells: list[Cell] = []
    if reader.left >= 4:
        count_of_cells, country, network = reader.uint(1), reader.uint(2), reader.uint(1)
        for _ in range(min(count_of_cells, reader.left // 5)):
            cells.extend(_cell(country, network, reader.uint(2), reader.uint(2)))
            reader.take(1)
    note(found, cells, wifi)


def read_bare_wifi(found: Found, reader: Reader) -> None:
    """0xF3: WiFi only, each behind two bytes."""
    wifi: list[Wifi] = []
    for _ in range(min(reader.uint(1), reader.left // 8)):
        reader.take(2)
        wifi.append(Wifi(reader.take(6)))
    note(found, (), wifi)


def read_alarm_listing(found: Found, reader: Reader) -> None:
    """0xA9: cells of 2G or 4G and WiFi, each with a count before them."""
    country, network = _network(reader)
    wide = reader.uint(1) > 0
    cells: list[Cell] = []
    for _ in range(reader.uint(1)):
        area, number = reader.uint(4 if wide else 2), reader.uint(8 if wide else 3)
        reader.take(1)
        cells.extend(_cell(country, network, area, number))
    reader.take(1)
    note(found, cells, _wifi(reader, reader.uint(1)))
