"""Judges messages: applies every rule to each in the order of arrival and keeps the states."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from devices.alarms import ALARM_CLASSES, AlarmKind
from devices.messages import AlarmSignal
from devices.modes.model import Modes
from devices.modes.rules import holder
from devices.registry.model import DeviceContext, DeviceState
from ingest.detection import defaults, rules, store
from ingest.detection.model import (
    Clear,
    ElderWatch,
    Event,
    Observation,
    Raise,
    Result,
    Rule,
    State,
)
from ingest.detection.store import Key
from kernel.db import Tx

# A door or bed that a gateway reports so much later is no longer how it stands now.
_STATE_AGE = timedelta(hours=24)
_AT_ONCE = 500
_IN_TEST = ":test"
_AWAY_KINDS = frozenset(
    {AlarmKind.INACTIVITY, AlarmKind.DOOR_OPEN, AlarmKind.BED_EXIT, AlarmKind.GEOFENCE_EXIT}
)


@dataclass(frozen=True, slots=True)
class Case:
    """One message to be judged: who said it, how the elder is watched over, what was said.

    `signals` are the device's own alarms among it; `moved` says that it shows movement. What a
    `test` shows is kept apart from the elder: it neither hides nor ends what is real.
    """

    device: DeviceContext
    watch: ElderWatch
    observation: Observation
    signals: tuple[AlarmSignal, ...] = ()
    moved: bool = False
    test: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a case comes to. `by_device`: the device said so itself; else a rule found it.

    `order` is the case's place in what was judged.
    """

    order: int
    event: Event
    by_device: bool


class Book:
    """The states of the rules while messages are judged, and which of them changed."""

    def __init__(self, states: dict[Key, State]) -> None:
        self._states = states
        self.changed: dict[Key, State | None] = {}

    def get(self, subject: str, rule: str) -> State | None:
        """The state of a rule for a subject; None is normal."""
        return self._states.get((subject, rule))

    def put(self, subject: str, rule: str, result: Result) -> tuple[Event, ...]:
        """Keep what a rule came to and hand on its events."""
        key = (subject, rule)
        before = self._states.get(key)
        if result.state != before:
            self.changed[key] = result.state
            if result.state is None:
                del self._states[key]
            else:
                self._states[key] = result.state
        return result.events


def subjects(case: Case) -> Iterator[str]:
    """Whose states a case needs."""
    yield device_subject(case.device.no)
    if case.device.elder_id is not None:
        yield elder_subject(case.device)


def device_subject(no: int) -> str:
    """The subject of a device in `detection_state`."""
    return f"d:{no}"


def elder_subject(device: DeviceContext) -> str:
    """The subject of a device's elder in `detection_state`."""
    return f"e:{device.elder_id}"


async def detect(tx: Tx, cases: Sequence[Case], now: datetime) -> list[Finding]:
    """Judge messages in their order and store the states that changed."""
    wanted = {subject for case in cases for subject in subjects(case)}
    book = Book(await store.load_states(tx, wanted))
    findings: list[Finding] = []
    for start in range(0, len(cases), _AT_ONCE):
        findings += judge(cases[start : start + _AT_ONCE], book, now, first=start)
        # Alarms that come in while a large batch is judged must not wait for it.
        await asyncio.sleep(0)
    await store.save_states(tx, book.changed, now)
    return findings


async def signalled(tx: Tx, case: Case, now: datetime) -> list[Finding]:
    """Judge nothing but what a device itself signals in one message: the alarm lane's part."""
    standing = any(signal.level for signal in case.signals)
    wanted = [device_subject(case.device.no)] if standing else []
    book = Book(await store.load_states(tx, wanted))
    found = _loudest([Finding(0, event, True) for event in _signals(case, book)])
    await store.save_states(tx, book.changed, now)
    return found


def judge(cases: Sequence[Case], book: Book, now: datetime, *, first: int = 0) -> list[Finding]:
    """Apply every rule to every case, numbered from `first`; pure but for `book`."""
    findings: list[Finding] = []
    for order, case in enumerate(cases, first):
        found = [Finding(order, event, True) for event in _signals(case, book)]
        if case.device.state is DeviceState.BOUND:
            found += [Finding(order, event, False) for event in _clock(case, book, now)]
            timed = _by_our_clock(case, book)
            found += [
                Finding(order, event, False) for rule in _RULES for event in rule(timed, book, now)
            ]
        findings.extend(_loudest(found))
    return findings


def _loudest(found: list[Finding]) -> list[Finding]:
    """One alarm a kind and message: systolic and diastolic too high are one pressure too high."""
    best: dict[AlarmKind, Finding] = {}
    for finding in found:
        if isinstance(finding.event, Raise) and finding.event.kind not in best:
            best[finding.event.kind] = finding
        elif isinstance(finding.event, Raise):
            known = best[finding.event.kind].event
            if isinstance(known, Raise) and finding.event.severity.rank < known.severity.rank:
                best[finding.event.kind] = finding
    cleared = [
        each for each in found if isinstance(each.event, Clear) and each.event.kind not in best
    ]
    return cleared + list(best.values())


def _signals(case: Case, book: Book) -> Iterator[Event]:
    subject = device_subject(case.device.no)
    for signal in case.signals:
        if signal.kind is AlarmKind.LOW_BATTERY:
            continue
        if signal.level:
            rule = _signal_rule(case, book, subject, signal.kind)
            state, at = book.get(subject, rule), case.observation.at
            if not signal.active and state and at < datetime.fromisoformat(state["since"]):
                # Said before the alarm and judged after it: the alarm lane is faster.
                continue
            result = rules.signal(state, signal.kind, signal.active, signal.detail, at)
            yield from book.put(subject, rule, result)
        elif signal.active:
            detail = {"detail": signal.detail} if signal.detail else {}
            yield Raise(signal.kind, ALARM_CLASSES[signal.kind].severity, detail)
        else:
            yield Clear(signal.kind)


def _signal_rule(case: Case, book: Book, subject: str, kind: AlarmKind) -> str:
    """The state that a standing condition goes by: what began in a test rings when it is over."""
    rule = Rule.SIGNAL.of(kind)
    tested = f"{rule}{_IN_TEST}"
    if case.test:
        return tested
    if book.get(subject, tested) is not None:
        book.put(subject, tested, Result(None))
    return rule


def _elder_or_test(case: Case, book: Book, rule: str) -> str:
    """Whose state a rule about the elder goes by: the device's own while it is tested."""
    tested = device_subject(case.device.no)
    if case.test:
        return tested
    if book.get(tested, rule) is not None:
        book.put(tested, rule, Result(None))
    return elder_subject(case.device)


def _by_our_clock(case: Case, book: Book) -> Case:
    """What a device says whose clock is known to be slow, as of when it really was.

    Else the elder whose watch is an hour slow would be watched over by nobody until a technician
    comes: all that it measures would be history. What is stored keeps the time that the device
    gave it. A slow clock and a late message are told apart by `rules.behind`, here and only here.
    """
    seen = case.observation
    if seen.fresh or seen.clock_offset_s is None:
        return case
    state = book.get(device_subject(case.device.no), Rule.CLOCK)
    behind = rules.behind(state, seen.clock_offset_s)
    if behind is None:
        return case
    fix = seen.position
    if fix is not None and fix.at is not None:
        fix = replace(fix, at=fix.at + behind)
    readings = tuple(replace(each, at=each.at + behind) for each in seen.readings)
    observation = replace(seen, at=seen.at + behind, fresh=True, readings=readings, position=fix)
    return replace(case, observation=observation)


def _vitals(case: Case, book: Book, _: datetime) -> Iterator[Event]:
    seen = case.observation
    if seen.elder_id is None or not seen.fresh:
        return
    for reading in seen.readings:
        rule = defaults.VITALS.get(reading.metric)
        if rule is None:
            continue
        limits = case.watch.limits.get(reading.metric, rule.limits)
        name = Rule.VITAL.of(reading.metric)
        subject = _elder_or_test(case, book, name)
        state = book.get(subject, name)
        yield from book.put(subject, name, rules.vital(state, reading, rule, limits))


def _battery(case: Case, book: Book, _: datetime) -> Iterator[Event]:
    seen = case.observation
    if not seen.fresh or (seen.battery is None and seen.battery_low is None):
        return
    limit = seen.low_battery_percent or defaults.BATTERY_PERCENT
    subject = device_subject(case.device.no)
    state = book.get(subject, Rule.BATTERY)
    result = rules.battery(state, seen.battery, seen.battery_low, limit, seen.at)
    yield from book.put(subject, Rule.BATTERY, result)


def _clock(case: Case, book: Book, now: datetime) -> Iterator[Event]:
    offset_s = case.observation.clock_offset_s
    if offset_s is None:
        return
    subject = device_subject(case.device.no)
    state = book.get(subject, Rule.CLOCK)
    # By far the most messages: a clock that is right, and no state to end.
    if state is None and abs(offset_s) <= defaults.CLOCK_LIMIT.total_seconds():
        return
    yield from book.put(subject, Rule.CLOCK, rules.clock(state, offset_s, now))


def _door(case: Case, book: Book, now: datetime) -> Iterator[Event]:
    subject = device_subject(case.device.no)
    for reading in case.observation.readings:
        if reading.metric == "door_open" and now - reading.at < _STATE_AGE:
            result = rules.door(book.get(subject, Rule.DOOR), reading.value > 0, reading.at)
            yield from book.put(subject, Rule.DOOR, result)


def _bed(case: Case, book: Book, now: datetime) -> Iterator[Event]:
    subject = device_subject(case.device.no)
    for reading in case.observation.readings:
        if reading.metric == "bed_occupied" and now - reading.at < _STATE_AGE:
            result = rules.bed(book.get(subject, Rule.BED), reading.value > 0, reading.at)
            yield from book.put(subject, Rule.BED, result)


def _geofence(case: Case, book: Book, _: datetime) -> Iterator[Event]:
    seen, fence = case.observation, case.watch.fence
    if seen.position is None or fence is None or seen.elder_id is None or not seen.fresh:
        return
    subject = _elder_or_test(case, book, Rule.GEOFENCE)
    state = book.get(subject, Rule.GEOFENCE)
    result = rules.geofence(state, seen.position, fence, seen.position.at or seen.at)
    yield from book.put(subject, Rule.GEOFENCE, result)


def _movement(case: Case, book: Book, _: datetime) -> Iterator[Event]:
    if not case.moved or case.test or case.device.elder_id is None or not case.observation.fresh:
        return
    subject = elder_subject(case.device)
    if book.get(subject, Rule.INACTIVITY) is not None:
        yield from book.put(subject, Rule.INACTIVITY, Result(None, (Clear(AlarmKind.INACTIVITY),)))


_RULES: tuple[Callable[[Case, Book, datetime], Iterable[Event]], ...] = (
    _vitals,
    _battery,
    _door,
    _bed,
    _geofence,
    _movement,
)


def suppressed(kind: AlarmKind, modes: Modes, watch: ElderWatch, now: datetime) -> str | None:
    """Why an alarm is put on record without calling anybody, None when it rings.

    The table of the device's modes says what they hold back (devices/modes/rules.py). An elder who
    is away leaves an empty home, whose silence and doors mean nothing; what the elder's own body or
    hand says still rings.
    """
    mode = holder(kind, modes, now)
    if mode is not None:
        return f"device_{mode}"
    return "elder_away" if watch.away(now) and kind in _AWAY_KINDS else None
