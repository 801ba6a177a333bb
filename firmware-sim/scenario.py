"""Scenarios: what is in the fleet, how often it speaks, and what happens to it when.

A scenario is a TOML file (`scenarios/*.toml`); docs of the keys are in `scenarios/README.md`.
Everything is checked before the first device connects; a mistake is one sentence.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abilities import able
from roster import TYPES
from wire_v1 import ALARM_KINDS, METRICS

FOLDER = Path(__file__).parent / "scenarios"
ACTIONS = ("alarm", "vitals", "illness", "unplug", "wander", "battery")
INTERVALS = ("vitals", "status", "location")
_DEFAULT_EVERY = {"vitals": 5.0, "status": 60.0, "location": 60.0}


class ScenarioError(ValueError):
    """The scenario cannot be used; the text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to some devices of `types`.

    First at `at` seconds after the start, then every `every` seconds (None: once) until `until`.
    Each time `count` devices are chosen (or `share` of the eligible ones), each is struck with
    `probability`, at a random moment within `spread` seconds. `lasting` is in seconds. An alarm is
    raised `times` times by the same device, `apart` seconds apart. An illness adds `changes` to
    what the person would show, in full after `rising` seconds.
    """

    do: str
    types: tuple[str, ...]
    at: float
    every: float | None
    until: float | None
    count: int | None
    share: float | None
    probability: float
    spread: float
    lasting: float | None
    kind: str
    detail: str
    times: int
    apart: float
    clear: bool
    test: bool
    values: Mapping[str, float]
    changes: Mapping[str, float]
    rising: float
    metres: float
    percent: float

    @property
    def able_types(self) -> frozenset[str]:
        """The types of device that it can happen to."""
        types = frozenset(self.types)
        return types & able(self.kind) if self.kind else types


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario. `every[type][kind]` is an interval in seconds."""

    name: str
    title: str
    fleet: Mapping[str, float]
    every: Mapping[str, Mapping[str, float]]
    serves: frozenset[str]
    gateway_size: int
    batch_seconds: float
    buffer_messages: int
    events: tuple[Event, ...]


def known() -> list[str]:
    """Names of the scenarios that come with the simulator."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name_or_path: str) -> Scenario:
    """Read a scenario by its name or by the path of a TOML file. Raises ScenarioError."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
        if name_or_path not in known():
            raise ScenarioError(
                f"There is no scenario {name_or_path!r}; known are {', '.join(known())}."
            )
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ScenarioError(f"Cannot read the scenario {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"The scenario {path} is not valid TOML: {error}.") from error
    return _scenario(_Table(document, f"The scenario {path.stem}"), path.stem)


class _Table:
    """A TOML table from which keys are taken; what is left at the end is a mistake."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self.rest = dict(content)
        self.where = where

    def fail(self, text: str) -> ScenarioError:
        return ScenarioError(f"{self.where} {text}")

    def text(self, key: str, default: str = "") -> str:
        value = self.rest.pop(key, default)
        if not isinstance(value, str):
            raise self.fail(f"has a {key} that is not text.")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.rest.pop(key, default)
        if not isinstance(value, bool):
            raise self.fail(f"has a {key} that is neither true nor false.")
        return value

    def number(
        self, key: str, default: float | None, low: float = 0.0, high: float = 1e9
    ) -> float | None:
        value = self.rest.pop(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(f"has a {key} that is not a number.")
        if not low <= value <= high:
            raise self.fail(f"has {key} = {value}; it must be from {low:g} to {high:g}.")
        return float(value)

    def need(self, key: str, default: float, low: float = 0.0, high: float = 1e9) -> float:
        value = self.number(key, default, low, high)
        return default if value is None else value

    def table(self, key: str) -> "_Table":
        value = self.rest.pop(key, {})
        if not isinstance(value, dict):
            raise self.fail(f"has a {key} that is not a table.")
        return _Table(value, f"{self.where}, [{key}],")

    def types(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.rest.pop(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(f"has {key} that is not a list of device types.")
        for item in value:
            self.check_type(item)
        return tuple(value)

    def check_type(self, name: str) -> None:
        if name not in TYPES:
            raise self.fail(f"names an unknown device type {name!r}; known are {', '.join(TYPES)}.")

    def numbers(self, low: float = 0.0, high: float = 1e9) -> dict[str, float]:
        return {key: self.need(key, 0.0, low, high) for key in list(self.rest)}

    def done(self) -> None:
        if self.rest:
            raise self.fail(f"has unknown keys: {', '.join(sorted(self.rest))}.")


def _scenario(table: _Table, name: str) -> Scenario:
    fleet_table = table.table("fleet")
    for kind in fleet_table.rest:
        fleet_table.check_type(kind)
    fleet = {kind: share for kind, share in fleet_table.numbers().items() if share > 0}
    if not fleet:
        raise table.fail("has no devices in [fleet].")
    gateway = table.table("gateway")
    events = table.rest.pop("event", [])
    if not isinstance(events, list) or not all(isinstance(item, dict) for item in events):
        raise table.fail("must write its events as [[event]].")
    scenario = Scenario(
        name=name,
        title=table.text("title", name),
        fleet=fleet,
        every=_intervals(table.table("every")),
        serves=frozenset(gateway.types("serves")),
        gateway_size=int(gateway.need("size", 8, 1, 500)),
        batch_seconds=gateway.need("batch_seconds", 2.0, 0.05, 3600),
        buffer_messages=int(table.need("buffer_messages", 10_000, 1, 10_000_000)),
        events=tuple(
            _event(_Table(item, f"The scenario {name}, event {number},"))
            for number, item in enumerate(events, 1)
        ),
    )
    gateway.done()
    table.done()
    return scenario


def _intervals(table: _Table) -> dict[str, dict[str, float]]:
    per_type = {kind: table.table(kind) for kind in TYPES if isinstance(table.rest.get(kind), dict)}
    common = {kind: table.need(kind, _DEFAULT_EVERY[kind], 0.05, 86_400) for kind in INTERVALS}
    table.done()
    every = {}
    for kind in TYPES:
        own = per_type.get(kind) or _Table({}, table.where)
        every[kind] = {name: own.need(name, common[name], 0.05, 86_400) for name in INTERVALS}
        own.done()
    return every


def _event(table: _Table) -> Event:
    do = table.text("do")
    if do not in ACTIONS:
        raise table.fail(f"does {do!r}; an event can do {', '.join(ACTIONS)}.")
    count = table.number("count", None, 1)
    event = Event(
        do=do,
        types=table.types("types", TYPES),
        at=table.need("at", 0.0),
        every=table.number("every", None, 0.1),
        until=table.number("until", None),
        count=None if count is None else int(count),
        share=table.number("share", None, 0.0, 1.0),
        probability=table.need("probability", 1.0, 0.0, 1.0),
        spread=table.need("spread", 0.0),
        lasting=table.number("lasting", None, 0.1),
        kind=table.text("kind"),
        detail=table.text("detail"),
        times=int(table.need("times", 1, 1, 1000)),
        apart=table.need("apart", 5.0, 0.1, 3600),
        clear=table.flag("clear", False),
        test=table.flag("test", False),
        values=table.table("set").numbers(-1000.0, 1e6),
        changes=table.table("add").numbers(-1000.0, 1000.0),
        rising=table.need("rising", 0.0),
        metres=table.need("metres", 800.0, 1.0, 50_000.0),
        percent=table.need("percent", 12.0, 0.0, 100.0),
    )
    table.done()
    _check_event(event, table)
    return event


def _check_event(event: Event, table: _Table) -> None:
    if (event.do == "alarm" or event.kind) and event.kind not in ALARM_KINDS:
        raise table.fail(f"names an unknown alarm kind {event.kind!r}.")
    if event.kind and not able(event.kind).intersection(event.types):
        raise table.fail(f"raises {event.kind}, which none of its device types can raise.")
    if event.do == "vitals" and not event.values:
        raise table.fail("changes vitals but has no values in `set`.")
    if (event.do == "illness") != bool(event.changes):
        raise table.fail("must say what an illness adds to vitals (`add`), and nothing else may.")
    unknown = sorted({*event.values, *event.changes} - METRICS)
    if unknown:
        raise table.fail(f"sets unknown metrics: {', '.join(unknown)}.")
    if event.do in ("unplug", "wander") and event.lasting is None:
        raise table.fail(f"does {event.do} but does not say for how many seconds (`lasting`).")
    if event.clear and event.lasting is None:
        raise table.fail("clears its alarm but does not say after how many seconds (`lasting`).")
    if event.count is not None and event.share is not None:
        raise table.fail("has both count and share; it can have one of them.")
    if event.until is not None and event.every is None:
        raise table.fail("has `until` without `every`.")
