"""Search parameters of FHIR R4 (https://hl7.org/fhir/R4/search.html), as far as they are served.

What is not served is refused: to ignore a parameter would be to answer with more than was asked. A
client that wants it otherwise says so (`Prefer: handling=lenient`) and reads in the link `self`
what was gone by. A modifier (`code:not`) that is not served is refused in any case.
"""

import base64
import binascii
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from ingest.fhir.dates import spans
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
CATEGORY_SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
STATUS_SYSTEM = "http://hl7.org/fhir/observation-status"
DEVICE_SYSTEM = "urn:silverline:device"
ELDER_SYSTEM = "urn:silverline:elder"
DEFAULT_COUNT, MOST_COUNT = 50, 500
MOST_IDS = 100
LONGEST_SEARCH = 64 * 1024
"""Most characters of a search: as much as an address may have; a form could have megabytes."""
Pairs = Sequence[tuple[str, str]]

OBSERVATION: Mapping[str, str] = {
    "_id": "token",
    "patient": "reference",
    "subject": "reference",
    "device": "reference",
    "code": "token",
    "combo-code": "token",
    "component-code": "token",
    "category": "token",
    "status": "token",
    "date": "date",
}
DEVICE: Mapping[str, str] = {
    "_id": "token",
    "patient": "reference",
    "identifier": "token",
    "status": "token",
}
PATIENT: Mapping[str, str] = {"_id": "token", "identifier": "token"}
INCLUDES: Mapping[str, Mapping[str, str]] = {
    "Observation": {"patient": "Patient", "subject": "Patient", "device": "Device"},
    "Device": {"patient": "Patient"},
    "Patient": {},
}
"""By type and parameter: what can be sent along."""
_RESULT = frozenset({"_count", "_cursor", "_format", "_pretty", "_include", "_total", "_summary"})
_STATES = {"active": ("bound", "stock"), "inactive": ("faulty", "retired")}


def processed(pairs: Pairs, known: Iterable[str], *, lenient: bool) -> Pairs:
    """Return the parameters that are served. Raises FhirError for others, unless lenient."""
    if sum(len(name) + len(value) for name, value in pairs) > LONGEST_SEARCH:
        raise FhirError("The search is too long.", issue="too-costly", status=413)
    served = _RESULT | set(known)
    taken = []
    for name, value in pairs:
        base, colon, modifier = name.partition(":")
        if colon and base in served:
            text = f"The modifier {modifier[:40]} of {base} is not served."
            raise FhirError(text, issue="not-supported")
        if "\0" in value:
            raise FhirError(f"The parameter {name[:40]} is no text.")
        if name in served and value:
            taken.append((name, value))
        elif not lenient:
            text = f"The parameter {name[:40]} is " + ("empty." if value == "" else "not served.")
            raise FhirError(text, issue="invalid" if name in served else "not-supported")
    _only_default(taken, "_total", "none")
    _only_default(taken, "_summary", "false")
    return taken


def observation_search(pairs: Pairs, base: str, now: datetime) -> Search:
    """Read a search for observations. Raises FhirError."""
    given = [*_values(pairs, "patient"), *_values(pairs, "subject")]
    people = {_patient(value, base) for value in given}
    ids = _ids(pairs)
    if len(people) > 1 or not (people or ids):
        raise FhirError("Name one patient: patient=[id].", issue="required")
    devices = {_number(_id_of(value, "Device", base)) for value in _values(pairs, "device")}
    if len(devices) > 1:
        raise FhirError("device may be given once.", issue="not-supported")
    cursor = _cursor(pairs)
    after = Key.parse(cursor) if cursor else None
    if cursor and after is None:
        raise FhirError("The paging link was not made here.")
    return Search(
        patient=people.pop() if people else None,
        metrics=tuple(sorted(_metrics(pairs))),
        spans=spans(_values(pairs, "date"), now),
        count=_count(pairs),
        after=after,
        newest_first=_newest_first(pairs),
        device=devices.pop() if devices else None,
        keys=None if ids is None else tuple(key for one in ids if (key := Key.parse(one))),
        include=_include(pairs, "Observation"),
    )


def device_search(pairs: Pairs, base: str) -> DeviceSearch:
    """Read a search for devices. Raises FhirError."""
    patients = [_patient(value, base) for value in _values(pairs, "patient")]
    names = [_token(value) for value in _values(pairs, "identifier")]
    if len(patients) > 1 or len(names) > 1:
        raise FhirError("patient and identifier may be given once each.", issue="not-supported")
    name = None
    for system, value in names:
        name = value if system in ("", DEVICE_SYSTEM) else ""
    ids = _ids(pairs)
    states: set[str] | None = None
    for value in _values(pairs, "status"):
        known = {state for part in value.split(",") for state in _STATES.get(part, ())}
        states = known if states is None else states & known
    cursor = _cursor(pairs)
    if cursor and (not cursor.isdecimal() or len(cursor) > 18):
        raise FhirError("The paging link was not made here.")
    return DeviceSearch(
        numbers=None if ids is None else tuple(no for one in ids if (no := _number(one)) >= 0),
        patient=patients[0] if patients else None,
        identifier=name,
        states=None if states is None else tuple(sorted(states)),
        count=_count(pairs),
        after=int(cursor or 0),
        include=_include(pairs, "Device"),
    )


def patient_ids(pairs: Pairs) -> list[uuid.UUID]:
    """Read which patients are searched for, by id or identifier. Raises FhirError."""
    wanted = _ids(pairs) or []
    for value in _values(pairs, "identifier"):
        tokens = map(_token, value.split(","))
        wanted += [code for system, code in tokens if system in ("", ELDER_SYSTEM)]
    if not _values(pairs, "_id") and not _values(pairs, "identifier"):
        raise FhirError("Name a patient: _id=[id].", issue="required")
    return list(dict.fromkeys(found for one in wanted if (found := _uuid(one))))


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


def _only_default(pairs: Pairs, name: str, default: str) -> None:
    if any(value != default for value in _values(pairs, name)):
        raise FhirError(f"Of {name} only {default} is served.", issue="not-supported")


def _count(pairs: Pairs) -> int:
    count = DEFAULT_COUNT
    for value in _values(pairs, "_count"):
        if not value.isdecimal() or len(value) > 9 or int(value) < 1:
            raise FhirError("_count is a whole number from 1.")
        count = min(int(value), MOST_COUNT)
    return count


def _newest_first(pairs: Pairs) -> bool:
    orders = set(_values(pairs, "_sort"))
    if orders - {"date", "-date"} or len(orders) > 1:
        raise FhirError("Observations are sorted by date or -date.", issue="not-supported")
    return orders != {"date"}


def _include(pairs: Pairs, kind: str) -> frozenset[str]:
    wanted = set()
    for value in _values(pairs, "_include"):
        source, _, rest = value.partition(":")
        name, _, target = rest.partition(":")
        found = INCLUDES[kind].get(name) if source == kind else None
        if found is None or target not in ("", found):
            raise FhirError(f"_include={value[:60]} is not served.", issue="not-supported")
        wanted.add(found)
    return frozenset(wanted)


def _ids(pairs: Pairs) -> list[str] | None:
    """The ids of `_id`, alternatives with commas; None where there is no such parameter."""
    given = [set(value.split(",")) for value in _values(pairs, "_id")]
    if not given:
        return None
    ids = sorted(set.intersection(*given))
    if len(ids) > MOST_IDS:
        raise FhirError(f"More than {MOST_IDS} ids in one search.", issue="too-costly")
    return ids


def _id_of(value: str, kind: str, base: str) -> str:
    """The id in a reference: bare, with its type, or whole with this server's address."""
    return value.removeprefix(f"{base}/").removeprefix(f"{kind}/")


def _patient(value: str, base: str) -> uuid.UUID:
    found = _uuid(_id_of(value, "Patient", base))
    if found is None:
        raise FhirError("A patient is named by an id of this system.")
    return found


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _number(text: str) -> int:
    """The number of a device; -1, which none has, where it is no number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else -1


def _token(value: str) -> tuple[str, str]:
    system, bar, code = value.rpartition("|")
    # "|code" asks for a code without a system, and there is none.
    return ("none" if bar and not system else system), code


def _codes(value: str, system: str) -> list[str]:
    """The codes of a list of tokens that are of a system, or of any."""
    return [code for named, code in map(_token, value.split(",")) if named in ("", system)]


def _metrics(pairs: Pairs) -> set[int]:
    """Return the metrics whose observations match every parameter that is about what they are."""
    components = {SYSTOLIC.loinc: PANEL, DIASTOLIC.loinc: PANEL}
    found = {metric.id for metric in CODES.values()}
    for name in ("code", "combo-code", "component-code"):
        for value in _values(pairs, name):
            codes = _codes(value, LOINC)
            if name == "combo-code":
                codes = [components.get(code, code) for code in codes]
            if name == "component-code":
                codes = [components[code] for code in codes if code in components]
            found &= {CODES[code].id for code in codes if code in CODES}
    for value in _values(pairs, "category"):
        wanted = _codes(value, CATEGORY_SYSTEM)
        found = {metric for metric in found if CATEGORIES[metric] in wanted}
    # What devices measured is final: there is no other status here.
    if any("final" not in _codes(value, STATUS_SYSTEM) for value in _values(pairs, "status")):
        return set()
    return found
