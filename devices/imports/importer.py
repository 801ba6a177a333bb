"""Reads a list of devices: finds the columns by their headings and makes a draft of each row. Pure.

What only the registry can tell (an id that is taken, a gateway that is not there) is asked by
service.py.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from devices.imports.model import Draft, Interpretation, Line, PlaceFinder, SheetRow
from devices.profiles import PROFILES
from devices.registry import access, guard
from devices.registry.service import LONGEST_SERIAL, RESERVED_IDS

HEADING_ROWS = 10
FIELDS = ("device_id", "profile", "division_code", "serial", "gateway_id", "address")
_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "device_id": ("编号", "设备编号", "设备号", "设备id", "id", "deviceid", "device"),
    "profile": ("型号", "设备型号", "model", "profile"),
    "division_code": (
        "存放区划", "区划", "行政区划", "区划代码", "区域", "存放地", "division", "divisioncode",
    ),
    "serial": ("序列号", "sn", "serial", "serialnumber", "出厂编号"),
    "gateway_id": ("网关", "网关编号", "所属网关", "gateway"),
    "address": ("协议中的名称", "协议名称", "imei", "deveui", "mac", "friendlyname", "address"),
}  # fmt: skip
HEADINGS = {title: field for field, titles in _HEADINGS.items() for title in titles}
_ROUNDED = re.compile(r"\d(?:\.\d+)?[Ee]\+\d+")


def interpret(
    rows: Sequence[SheetRow], places: PlaceFinder, *, usual_division: str = ""
) -> Interpretation:
    """Read the rows of a sheet; `usual_division` counts where a row names none.

    Problems are lines of field and code: required, form, twice, unknown, ambiguous, rounded,
    too_long; a missing heading is a problem of the whole file.
    """
    found = _find_heading(rows)
    if found is None:
        first = rows[0].number if rows else 1
        return Interpretation(problems=(Line(first, "", "file", "heading_missing"),))
    position, columns = found
    heading = rows[position]
    titles = {name: heading.cell(index) for index, name in columns.items()}
    reader = _Reader(columns, titles, places, usual_division)
    drafts = tuple(reader.draft(row) for row in rows[position + 1 :])
    problems = [*reader.problems, *_twice(drafts, titles)]
    if not drafts:
        problems.append(Line(heading.number, "", "file", "no_rows"))
    ignored = tuple(
        title for index, title in enumerate(heading.cells) if title and index not in columns
    )
    return Interpretation(drafts, tuple(sorted(problems, key=lambda x: x.row)), titles, ignored)


def _find_heading(rows: Sequence[SheetRow]) -> tuple[int, dict[int, str]] | None:
    for position, row in enumerate(rows[:HEADING_ROWS]):
        columns: dict[int, str] = {}
        for index, title in enumerate(row.cells):
            name = HEADINGS.get(_plain(title))
            if name and name not in columns.values():
                columns[index] = name
        if {"device_id", "profile"} <= set(columns.values()):
            return position, columns
    return None


def _plain(title: str) -> str:
    return _whole(re.sub(r"\(.*?\)|\[.*?\]|【.*?】", "", unicodedata.normalize("NFKC", title)))


def _whole(title: str) -> str:
    """A name with what stands in brackets: often that alone tells two models apart."""
    return re.sub(r"[\s*:_\-/·。、]+", "", unicodedata.normalize("NFKC", title).lower())


def _models() -> dict[str, set[str]]:
    """Return the models that a code or a name may mean."""
    found: dict[str, set[str]] = {}
    for model in PROFILES.values():
        for name in (model.code, model.title("zh"), model.title("en")):
            for written in {_whole(name), _plain(name)}:
                found.setdefault(written, set()).add(model.code)
    return found


class _Reader:
    """Makes drafts and gathers what is wrong with them."""

    def __init__(
        self,
        columns: Mapping[int, str],
        titles: Mapping[str, str],
        places: PlaceFinder,
        usual_division: str,
    ) -> None:
        self.problems: list[Line] = []
        self._columns = {name: index for index, name in columns.items()}
        self._titles = titles
        self._places = places
        self._usual_division = usual_division
        self._models = _models()

    def draft(self, row: SheetRow) -> Draft:
        text = {name: self._cell(row, name) for name in FIELDS}
        profile = self._model(row, text["profile"])
        if not guard.DEVICE_ID.fullmatch(text["device_id"]) or text["device_id"] in RESERVED_IDS:
            self._say(row, "device_id", "form" if text["device_id"] else "required")
        if len(text["serial"]) > LONGEST_SERIAL:
            self._say(row, "serial", "too_long")
        if text["gateway_id"] and text["gateway_id"] == text["device_id"]:
            self._say(row, "gateway_id", "itself")
        if text["address"] and profile:
            wrong = access.wrong_alias(PROFILES[profile].codec, text["address"])
            for name, code in wrong.items():
                self._say(row, name, code)
        return Draft(
            row=row.number,
            device_id=text["device_id"][:64],
            profile=profile,
            division_code=self._division(row, text["division_code"]),
            serial=text["serial"],
            gateway_id=text["gateway_id"],
            address=text["address"],
        )

    def _cell(self, row: SheetRow, name: str) -> str:
        index = self._columns.get(name)
        text = row.cell(index).replace("\0", "").strip() if index is not None else ""
        if _ROUNDED.fullmatch(text):
            # An IMEI that a spreadsheet took for a number: its last digits are gone.
            self._say(row, name, "rounded")
        return text

    def _model(self, row: SheetRow, text: str) -> str:
        found = self._models.get(_whole(text)) or self._models.get(_plain(text), set())
        if len(found) == 1:
            return next(iter(found))
        self._say(row, "profile", "ambiguous" if found else "unknown")
        return ""

    def _division(self, row: SheetRow, text: str) -> str:
        if not text:
            if not self._usual_division:
                self._say(row, "division_code", "required")
            return self._usual_division
        codes = self._places.code_of(text)
        if len(codes) == 1:
            return codes[0]
        self._say(row, "division_code", "ambiguous" if codes else "not_found")
        return ""

    def _say(self, row: SheetRow, name: str, code: str) -> None:
        said = any(one.row == row.number and one.field == name for one in self.problems[-8:])
        if not said:
            self.problems.append(Line(row.number, self._titles.get(name, ""), name, code))


def _twice(drafts: Iterable[Draft], titles: Mapping[str, str]) -> list[Line]:
    """Return the lines of rows that say the same id or name in a protocol as one before."""
    ids: dict[str, int] = {}
    names: dict[tuple[str, str], int] = {}
    found: list[Line] = []
    for one in drafts:
        first = ids.setdefault(one.device_id, one.row) if one.device_id else one.row
        if first != one.row:
            title = titles.get("device_id", "")
            found.append(Line(one.row, title, "device_id", "twice", {"row": first}))
        if one.address and one.profile:
            key = (PROFILES[one.profile].codec, one.address)
            first = names.setdefault(key, one.row)
            if first != one.row:
                title = titles.get("address", "")
                found.append(Line(one.row, title, "address", "twice", {"row": first}))
    return found
