"""Loading divisions and asking for them."""

import csv
from collections.abc import Collection, Iterator
from datetime import date

from kernel.db import Tx
from kernel.divisions import bundled, codes, store
from kernel.divisions.model import Division, DivisionImportError

# Names that fill a gap in the codes and say nothing to a person.
_FILLERS = frozenset({"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"})
_MOST_ERRORS = 20
_NAME_LIMIT = 100


async def load_divisions(tx: Tx) -> int:
    """Bring in the divisions that come with the program; return how many were new or changed.

    Idempotent; takes about 50 ms, so it may run at every start.
    """
    return await store.upsert(tx, bundled.read(), "bundled")


async def get(tx: Tx, code: str) -> Division | None:
    """Return a division, abolished ones too."""
    found = await store.find(tx, [code])
    return found[0] if found else None


async def children(tx: Tx, code: str = "") -> list[Division]:
    """Return the divisions in use directly below a code; "" gives the provinces."""
    return await store.below(tx, code or None)


async def search(tx: Tx, text: str, *, scope: str = "", limit: int = 20) -> list[Division]:
    """Return divisions in use within a prefix by a part of their name or by their code."""
    text = text.strip()
    if text.isascii() and text.isdigit() and codes.is_prefix(text) and text.startswith(scope):
        one = await get(tx, codes.pad(text))
        return [one] if one and one.valid_to is None else []
    return await store.named(tx, text, scope, limit) if text else []


async def path_name(tx: Tx, code: str) -> str:
    """Return "内蒙古自治区 呼和浩特市 新城区" for a code; what is unknown is left out."""
    return (await path_names(tx, [code]))[code]


async def scope_name(tx: Tx, prefix: str) -> str:
    """Return the full name of what a person may see, "" for the whole country."""
    return await path_name(tx, codes.pad(prefix)) if prefix else ""


async def path_names(tx: Tx, wanted: Collection[str]) -> dict[str, str]:
    """Return the full name of each code, by one query."""
    paths = {code: (*codes.ancestors(code), code) for code in wanted}
    known = await store.names(tx, {one for path in paths.values() for one in path})
    return {code: _joined([known.get(one, "") for one in path]) for code, path in paths.items()}


def _joined(names: list[str]) -> str:
    words: list[str] = []
    for position, name in enumerate(names):
        filler = name in _FILLERS and position < len(names) - 1
        if name and not filler and name not in words[-1:]:
            words.append(name)
    return " ".join(words)


async def import_csv(tx: Tx, data: bytes) -> int:
    """Import `code,name[,valid_from,valid_to]`; return how many divisions are new or changed.

    Codes may be short (150102) or padded; dates are 2023-06-30. UTF-8 or GB 18030. Raises
    DivisionImportError with every wrong line; then nothing was imported.
    """
    errors: dict[str, str] = {}
    rows: dict[str, Division] = {}
    for line, row in _rows(_decode(data)):
        try:
            one = _division(row)
            if one.code in rows:
                raise ValueError(f"{one.code} is in the file twice")
            rows[one.code] = one
        except ValueError as error:
            errors[f"line {line}"] = str(error)
    if not errors:
        errors = await _orphans(tx, rows)
    if errors:
        shown = dict(list(errors.items())[:_MOST_ERRORS])
        first = next(iter(shown.items()))
        raise DivisionImportError(
            f"{len(errors)} of the lines cannot be imported; the first is {first[0]}: {first[1]}",
            shown,
            count=len(errors),
        )
    return await store.upsert(tx, rows.values(), "import")


def _decode(data: bytes) -> str:
    # Excel on a Chinese Windows writes GB 18030.
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DivisionImportError("The file is neither UTF-8 nor GB 18030 text.")


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        header = [name.strip().lower() for name in reader.fieldnames or []]
        missing = {"code", "name"} - set(header)
        if missing:
            raise DivisionImportError(
                f"The first line must name the columns; missing: {', '.join(sorted(missing))}."
            )
        reader.fieldnames = header
        for row in reader:
            yield (
                reader.line_num,
                {key: (value or "").strip() for key, value in row.items() if key in header},
            )
    except csv.Error as error:
        raise DivisionImportError(f"Line {reader.line_num} is not CSV: {error}.") from error


def _division(row: dict[str, str]) -> Division:
    text = row["code"]
    if "e" in text.lower() or "." in text:
        raise ValueError(f"{text!r} is a number that a spreadsheet has rounded; store it as text")
    code = text if codes.is_code(text) else codes.pad(text)
    name = row["name"]
    if not name or len(name) > _NAME_LIMIT:
        raise ValueError("a name has 1 to 100 characters")
    since, until = _day(row, "valid_from"), _day(row, "valid_to")
    if since and until and until <= since:
        raise ValueError("valid_to is not after valid_from")
    return Division(code, name, codes.level(code), codes.parent(code), since, until)


def _day(row: dict[str, str], column: str) -> date | None:
    text = row.get(column, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError(f"{column} {text!r} is not a date like 2023-06-30") from None


async def _orphans(tx: Tx, rows: dict[str, Division]) -> dict[str, str]:
    wanted = {one.parent for one in rows.values() if one.parent and one.parent not in rows}
    known = await store.names(tx, wanted)
    return {
        one.code: f"{one.parent}, which it lies in, is neither here nor in the file"
        for one in rows.values()
        if one.parent in wanted - known.keys()
    }
