"""What the elders' forms hold: values as they were typed, and what they mean. No database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from care.elders import rules
from care.elders.ages import LOCAL
from care.elders.model import (
    Contact,
    Draft,
    Elder,
    LivingSituation,
    Phone,
    Relation,
    Secret,
    Sex,
)
from care.elders.problems import Problem
from care.watching.model import Threshold, Watch
from care.watching.rules import LIMIT_NAMES, LIMITED_METRICS, MINUTES
from dashboards.console.elders.frame import uuid_in

Values = dict[str, str]
PHONE_ROWS = rules.MOST_PHONES
# What somebody without the permission to reveal can neither see nor change.
UNSEEN = frozenset({Secret.ID_NUMBER, Secret.ADDRESS, Secret.MEDICAL, Secret.ACCESS, Secret.PHONES})


def values_of(elder: Elder, division: str) -> Values:
    """Return the form of a record; what is masked stays empty."""
    values = {
        "version": str(elder.version),
        "name": elder.name,
        "sex": elder.sex.value,
        "birth_date": elder.birth_date.isoformat() if elder.birth_date else "",
        "division": division,
        "living_situation": elder.living_situation.value,
        "languages": "、".join(elder.languages),
        "lat": plain(elder.lat),
        "lon": plain(elder.lon),
        "risk_notes": elder.risk_notes,
    }
    if elder.masked:
        return values
    values |= {
        "id_number": elder.id_number,
        "address": elder.address,
        "medical_notes": elder.medical_notes,
        "access_notes": elder.access_notes,
    }
    for index, phone in enumerate(elder.phones):
        values |= {
            f"phones.{index}.id": str(phone.id),
            f"phones.{index}.label": phone.label,
            f"phones.{index}.number": phone.number,
        }
    return values


def plain(value: float | None) -> str:
    """Write degrees for a field, six decimals at most."""
    return "" if value is None else f"{value:g}" if abs(value) < 1 else f"{value:.6f}".rstrip("0")


def phone_rows(values: Mapping[str, str]) -> int:
    """Return how many lines for phones the form shows: one more than are filled, at least two."""
    filled = [
        index
        for index in range(PHONE_ROWS)
        if values.get(f"phones.{index}.number") or values.get(f"phones.{index}.label")
    ]
    return min(PHONE_ROWS, max(2, (filled[-1] if filled else -1) + 2))


def draft_of(values: Mapping[str, str], division_code: str) -> tuple[Draft, list[Problem]]:
    """Return the draft that a form means, and what in it cannot be read at all."""
    problems: list[Problem] = []
    sex = _choice(Sex, values, "sex", Sex.UNKNOWN, problems)
    living = _choice(LivingSituation, values, "living_situation", LivingSituation.UNKNOWN, problems)
    draft = Draft(
        name=values.get("name", ""),
        division_code=division_code,
        sex=sex,
        birth_date=_date(values, "birth_date", problems),
        id_number=values.get("id_number", ""),
        address=values.get("address", ""),
        lat=_float(values, "lat", problems),
        lon=_float(values, "lon", problems),
        living_situation=living,
        risk_notes=values.get("risk_notes", ""),
        medical_notes=values.get("medical_notes", ""),
        access_notes=values.get("access_notes", ""),
        languages=tuple(_words(values.get("languages", ""))),
        phones=tuple(
            Phone(
                values.get(f"phones.{index}.number", ""),
                values.get(f"phones.{index}.label", ""),
                uuid_in(values, f"phones.{index}.id"),
            )
            for index in range(PHONE_ROWS)
        ),
    )
    return draft, problems


def _words(text: str) -> list[str]:
    for mark in "，,；;/ ":
        text = text.replace(mark, "、")
    return [word for word in text.split("、") if word]


def _choice(
    kind: Any, values: Mapping[str, str], name: str, default: Any, problems: list[Problem]
) -> Any:
    try:
        return kind(values.get(name) or default)
    except ValueError:
        problems.append(Problem(name, "unknown_choice"))
        return default


def _date(values: Mapping[str, str], name: str, problems: list[Problem]) -> date | None:
    text = values.get(name, "").strip()
    found = rules.date_of(text) if text else None
    if text and found is None:
        problems.append(Problem(name, "date_unreadable"))
    return found


def _float(values: Mapping[str, str], name: str, problems: list[Problem]) -> float | None:
    text = values.get(name, "").strip().replace("，", ".")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number - number != 0:  # not a number, or without an end
        problems.append(Problem(name, "number_unreadable"))
        return None
    return number


def contact_values(contacts: Sequence[Contact], *, masked: bool) -> list[Values]:
    """Return the lines of the form of contacts."""
    return [
        {
            "id": str(one.id or ""),
            "name": one.name,
            "relation": one.relation.value,
            "phone": "" if masked else one.phone,
            "shown": one.phone if masked else "",
            "has_key": "1" if one.has_key else "",
            "notes": one.notes,
        }
        for one in contacts
    ]


def contact_lines(values: Mapping[str, str]) -> list[Values]:
    """Return the lines that a form of contacts sent, in their order."""
    names = ("id", "name", "relation", "phone", "shown", "has_key", "notes")
    return [
        {name: values.get(f"contacts.{index}.{name}", "") for name in names}
        for index in range(rules.MOST_CONTACTS + 1)
        if f"contacts.{index}.name" in values
    ]


def rearranged(lines: Sequence[Values], command: str) -> list[Values]:
    """Return the lines after a button: `up:2`, `down:0`, `remove:1` or `add`."""
    verb, _, place = command.partition(":")
    kept = list(lines)
    if verb == "add":
        return [*kept, {"relation": Relation.CHILD.value}][: rules.MOST_CONTACTS]
    index = int(place) if place.isascii() and place.isdigit() else -1
    if not 0 <= index < len(kept):
        return kept
    if verb == "remove":
        return kept[:index] + kept[index + 1 :]
    other = index + (1 if verb == "down" else -1)
    if verb in {"up", "down"} and 0 <= other < len(kept):
        kept[index], kept[other] = kept[other], kept[index]
    return kept


def contacts_of(lines: Sequence[Values]) -> tuple[list[Contact], list[Problem]]:
    """Return the contacts that the lines mean."""
    problems: list[Problem] = []
    contacts: list[Contact] = []
    for index, line in enumerate(lines):
        at = f"contacts.{index}.relation"
        relation = _choice(Relation, {at: line.get("relation", "")}, at, Relation.OTHER, problems)
        contacts.append(
            Contact(
                name=line.get("name", ""),
                relation=relation,
                phone=line.get("phone", ""),
                has_key=bool(line.get("has_key")),
                notes=line.get("notes", ""),
                id=uuid_in(line, "id"),
            )
        )
    return contacts, problems


def limit_values(thresholds: Sequence[Threshold], watch: Watch | None) -> Values:
    """Return the form of limits and watch settings."""
    values: Values = {}
    for one in thresholds:
        for name in LIMIT_NAMES:
            value = getattr(one, name)
            values[f"thresholds.{one.metric}.{name}"] = "" if value is None else f"{value:g}"
    if watch is None:
        return values
    for name in (*MINUTES, "fence_radius_m"):
        value = getattr(watch, name)
        values[f"watch.{name}"] = "" if value is None else f"{value:g}"
    values["watch.fence"] = "1" if watch.fence_radius_m is not None else ""
    values["watch.fence_lat"], values["watch.fence_lon"] = (
        plain(watch.fence_lat),
        plain(watch.fence_lon),
    )
    if watch.away_until is not None:
        values["watch.away_until"] = watch.away_until.astimezone(LOCAL).date().isoformat()
    return values


def thresholds_of(values: Mapping[str, str]) -> tuple[list[Threshold], list[Problem]]:
    """Return the limits that a form means."""
    problems: list[Problem] = []
    found: list[Threshold] = []
    for metric in LIMITED_METRICS:
        limits = (_float(values, f"thresholds.{metric}.{n}", problems) for n in LIMIT_NAMES)
        found.append(Threshold(metric, *limits))
    return found, problems


def watch_of(values: Mapping[str, str]) -> tuple[Watch, list[Problem]]:
    """Return the watch settings that a form means; `away_until` lasts to the end of its day."""
    problems: list[Problem] = []
    minutes: dict[str, int | None] = {}
    for name in MINUTES:
        number = _float(values, f"watch.{name}", problems)
        minutes[name] = None if number is None else int(number)
    fence = values.get("watch.fence") == "1"
    day = _date(values, "watch.away_until", problems)
    watch = Watch(
        **minutes,
        fence_lat=_float(values, "watch.fence_lat", problems) if fence else None,
        fence_lon=_float(values, "watch.fence_lon", problems) if fence else None,
        fence_radius_m=_float(values, "watch.fence_radius_m", problems) if fence else None,
        away_until=datetime.combine(day, time(23, 59, 59), LOCAL) if day else None,
    )
    return watch, problems
