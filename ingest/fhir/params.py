"""Search parameters of FHIR R4 (https://hl7.org/fhir/R4/search.html), as far as they are served.

What is not served is refused: to ignore a parameter would be to answer with more than was asked.
"""

import base64
import binascii
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.detection.defaults import LOCAL_ZONE
from ingest.fhir.model import (
    CATEGORIES,
    CODES,
    DIASTOLIC,
    PANEL,
    SYSTOLIC,
    DeviceSearch,
    FhirError,
    Key,
)
from ingest.fhir.model import ObservationSearch as Search

LOINC = "http://loinc.org"
DEVICE_SYSTEM = "urn:silverline:device"
DEFAULT_COUNT, MOST_COUNT = 50, 500
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
Pairs = Sequence[tuple[str, str]]

_COMMON = {"_count", "_cursor", "_format"}
_OBSERVATION = _COMMON | {"patient", "subject", "code", "combo-code", "date", "category", "_sort"}
_DEVICE = _COMMON | {"patient", "identifier", "status", "_id"}
_DATE = re.compile(
    r"(?P<op>eq|gt|ge|lt|le|sa|eb)?(?P<y>\d{4})(-(?P<m>\d\d)(-(?P<d>\d\d)"
    r"(T(?P<t>\d\d:\d\d(:\d\d(\.\d{1,6})?)?)(?P<z>Z|[+-]\d\d:\d\d)?)?)?)?"
)
_STATES = {"active": ("bound", "stock"), "inactive": ("faulty", "retired")}


@dataclass(frozen=True, slots=True)
class Range:
    """What a date means: from `low` to before `high`."""

    low: datetime
    high: datetime


def observation_search(pairs: Pairs) -> Search:
    """Read a search for observations. Raises FhirError."""
    _only(pairs, _OBSERVATION)
    people = {_patient(v) for v in (*_values(pairs, "patient"), *_values(pairs, "subject"))}
    if len(people) != 1:
        raise FhirError("Name one patient: patient=[id].", issue="required")
    if any(sort != "-date" for sort in _values(pairs, "_sort")):
        raise FhirError("Observations are sorted by -date.", issue="not-supported")
    metrics = set(_metrics(pairs))
    for value in _values(pairs, "category"):
        wanted = {_token(part)[1] for part in value.split(",")}
        metrics = {metric for metric in metrics if CATEGORIES[metric] in wanted}
    start, end = EARLIEST, LATEST
    for text in _values(pairs, "date"):
        low, high = _bounds(text)
        start, end = max(start, low), min(end, high)
    cursor = _cursor(pairs)
    after = Key.parse(cursor) if cursor else None
    if cursor and after is None:
        raise FhirError("The paging link was not made here.")
    return Search(people.pop(), tuple(sorted(metrics)), start, end, _count(pairs), after)


def device_search(pairs: Pairs) -> DeviceSearch:
    """Read a search for devices. Raises FhirError."""
    _only(pairs, _DEVICE)
    patients = [_patient(value) for value in _values(pairs, "patient")]
    names = [_token(value) for value in _values(pairs, "identifier")]
    if len(patients) > 1 or len(names) > 1:
        raise FhirError("patient and identifier may be given once each.", issue="not-supported")
    name = None
    for system, value in names:
        name = value if system in ("", DEVICE_SYSTEM) else ""
    numbers = _values(pairs, "_id")
    if len(numbers) > 1 or any(not n.isdecimal() or len(n) > 18 for n in numbers):
        raise FhirError("_id is the number of one device.")
    states: set[str] | None = None
    for value in _values(pairs, "status"):
        known = {state for part in value.split(",") for state in _STATES.get(part, ())}
        states = known if states is None else states & known
    cursor = _cursor(pairs)
    if cursor and not cursor.isdecimal():
        raise FhirError("The paging link was not made here.")
    return DeviceSearch(
        int(numbers[0]) if numbers else None,
        patients[0] if patients else None,
        name,
        None if states is None else tuple(sorted(states)),
        _count(pairs),
        int(cursor or 0),
    )


def cursor_of(text: str) -> str:
    """Return the opaque form of where a page ends."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor(pairs: Pairs) -> str:
    text = "".join(_values(pairs, "_cursor"))
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise FhirError("The paging link was not made here.") from error


def _values(pairs: Pairs, name: str) -> list[str]:
    return [value for key, value in pairs if key == name]


def _only(pairs: Pairs, known: Iterable[str]) -> None:
    for name, value in pairs:
        if name not in known:
            raise FhirError(f"The parameter {name[:40]} is not served.", issue="not-supported")
        if not value:
            raise FhirError(f"The parameter {name} is empty.")
    for value in _values(pairs, "_format"):
        if value not in ("json", "application/json", "application/fhir+json"):
            raise FhirError("Only JSON is served.", issue="not-supported")


def _count(pairs: Pairs) -> int:
    count = DEFAULT_COUNT
    for value in _values(pairs, "_count"):
        if not value.isdecimal() or len(value) > 9 or int(value) < 1:
            raise FhirError("_count is a whole number from 1.")
        count = min(int(value), MOST_COUNT)
    return count


def _patient(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value.removeprefix("Patient/"))
    except ValueError as error:
        raise FhirError("A patient is named by an id of this system.") from error


def _token(value: str) -> tuple[str, str]:
    system, bar, code = value.rpartition("|")
    # "|code" asks for a code without a system, and there is none.
    return ("none" if bar and not system else system), code


def _metrics(pairs: Pairs) -> set[int]:
    """Return the metrics whose observations match every `code` and `combo-code`."""
    components = {SYSTOLIC.loinc: PANEL, DIASTOLIC.loinc: PANEL}
    found = {metric.id for metric in CODES.values()}
    for name in ("code", "combo-code"):
        for value in _values(pairs, name):
            codes = [
                code for system, code in map(_token, value.split(",")) if system in ("", LOINC)
            ]
            if name == "combo-code":
                codes = [components.get(code, code) for code in codes]
            found &= {CODES[code].id for code in codes if code in CODES}
    return found


def _bounds(text: str) -> tuple[datetime, datetime]:
    """Return from when to before when an instant must lie to match a `date`."""
    # A plus sign that was not escaped in the address arrives as a space.
    match = _DATE.fullmatch(text.replace(" ", "+"))
    if match is None:
        if text.startswith(("ne", "ap")):
            raise FhirError("The prefixes ne and ap are not served.", issue="not-supported")
        raise FhirError("A date is written as YYYY, YYYY-MM, YYYY-MM-DD or with a time and zone.")
    span = _range(match)
    return {
        "eq": (span.low, span.high),
        "ge": (span.low, LATEST),
        "gt": (span.high, LATEST),
        "sa": (span.high, LATEST),
        "le": (EARLIEST, span.high),
        "lt": (EARLIEST, span.low),
        "eb": (EARLIEST, span.low),
    }[match["op"] or "eq"]


def _range(match: re.Match[str]) -> Range:
    year, month, day = (int(match[name] or 1) for name in ("y", "m", "d"))
    try:
        low = datetime(year, month, day, tzinfo=LOCAL_ZONE)
        if match["t"]:
            zone = (match["z"] or "+08:00").replace("Z", "+00:00")
            low = datetime.fromisoformat(
                f"{match['y']}-{match['m']}-{match['d']}T{match['t']}{zone}"
            )
        if match["t"]:
            digits = len(match["t"].partition(".")[2])
            exact = timedelta(microseconds=10 ** (6 - digits))
            high = low + (timedelta(minutes=1) if match["t"].count(":") == 1 else exact)
        elif match["d"]:
            high = low + timedelta(days=1)
        elif match["m"]:
            high = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=LOCAL_ZONE)
        else:
            high = datetime(year + 1, 1, 1, tzinfo=LOCAL_ZONE)
        return Range(low.astimezone(UTC), high.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise FhirError("There is no such date.") from error
