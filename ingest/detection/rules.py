"""The rules of single readings, fixes and signals: pure functions (state, input, …) → Result.

States are the plain JSON of `detection_state`; None is normal. A rule that has raised an alarm
keeps its state until the condition is over, margin included (hysteresis), and only then rings anew,
or after `REARM` if it lasts.
"""

from datetime import datetime, timedelta

from devices.alarms import ALARM_CLASSES, AlarmKind, Severity
from devices.messages import Position
from ingest.detection.defaults import (
    BATTERY_MARGIN,
    BATTERY_REARM,
    CLEAR_READINGS,
    CLOCK_LIMIT,
    CLOCK_MESSAGES,
    CLOCK_OLDEST,
    CLOCK_SPAN,
    CLOCK_STEADY,
    FENCE_ACCURACY_M,
    FENCE_FIXES,
    FENCE_MARGIN_M,
    FRESH,
    REARM,
)
from ingest.detection.model import (
    Clear,
    Event,
    Fence,
    Limits,
    Measured,
    Raise,
    Result,
    State,
    VitalRule,
)
from kernel.geo import distance_m

_MAJOR, _CRITICAL = Severity.MAJOR.value, Severity.CRITICAL.value


def zone(value: float, limits: Limits) -> tuple[str, str] | None:
    """("low" or "high", "major" or "critical") of a value, None inside of the limits."""
    for side, level, limit in (
        ("low", _CRITICAL, limits.low_critical),
        ("high", _CRITICAL, limits.high_critical),
        ("low", _MAJOR, limits.low_major),
        ("high", _MAJOR, limits.high_major),
    ):
        if limit is not None and (value <= limit if side == "low" else value >= limit):
            return side, level
    return None


def vital(state: State | None, reading: Measured, rule: VitalRule, limits: Limits) -> Result:
    """One reading of a vital against the elder's limits.

    State: side, count (readings in a row beyond the limits), at (of the last), level and raised_at
    (None before the alarm), calm (readings in a row that were normal again).
    """
    if state is not None and reading.at <= _time(state["at"]):
        return Result(state)
    found = zone(reading.value, limits)
    if found is None:
        return _inside(state, reading, rule, limits)
    side, level = found
    events: list[Event] = []
    if state is not None and state["side"] != side:
        events.extend(_ended(state, rule))
        state = None
    kind = rule.low if side == "low" else rule.high
    if kind is None:
        return Result(None, tuple(events))
    known = state or {"count": 0, "level": None, "raised_at": None, "at": reading.at.isoformat()}
    in_a_row = reading.at - _time(known["at"]) <= rule.major.within
    count = known["count"] + 1 if in_a_row else 1
    following = {**known, "side": side, "count": count, "at": reading.at.isoformat(), "calm": 0}
    if _vital_rings(known, level, count, reading.at, rule):
        following |= {"level": level, "raised_at": reading.at.isoformat()}
        detail = {
            "metric": rule.metric,
            "value": reading.value,
            "limit": _limit(side, level, limits),
            "readings": count,
        }
        events.append(Raise(kind, Severity(level), detail))
    return Result(following, tuple(events))


def _vital_rings(known: State, level: str, count: int, at: datetime, rule: VitalRule) -> bool:
    if level == _MAJOR and known["level"] is None:
        return count >= rule.major.readings
    if level == _CRITICAL and known["level"] != _CRITICAL:
        return True
    return at - _time(known["raised_at"]) >= REARM


def _inside(state: State | None, reading: Measured, rule: VitalRule, limits: Limits) -> Result:
    if state is None or state["level"] is None:
        return Result(None)
    calm = state["calm"] + 1 if _well_inside(state["side"], reading.value, rule, limits) else 0
    if calm >= CLEAR_READINGS:
        return Result(None, _ended(state, rule))
    return Result({**state, "calm": calm, "at": reading.at.isoformat()})


def _well_inside(side: str, value: float, rule: VitalRule, limits: Limits) -> bool:
    # An elder may have a critical limit only.
    if side == "low":
        limit = limits.low_major if limits.low_major is not None else limits.low_critical
        return limit is None or value >= limit + rule.margin
    limit = limits.high_major if limits.high_major is not None else limits.high_critical
    return limit is None or value <= limit - rule.margin


def _ended(state: State, rule: VitalRule) -> tuple[Event, ...]:
    kind = rule.low if state["side"] == "low" else rule.high
    return (Clear(kind),) if kind is not None and state["level"] is not None else ()


def _limit(side: str, level: str, limits: Limits) -> float:
    value: float | None = getattr(limits, f"{side}_{level}")
    return value if value is not None else 0.0


def signal(state: State | None, kind: AlarmKind, active: bool, detail: str, at: datetime) -> Result:
    """A standing condition that a device restates in each message (`AlarmSignal.level`).

    Only the change is an activation. One that lasts rings again after `REARM`.
    """
    if not active:
        return Result(None, () if state is None else (Clear(kind),))
    if state is not None and at - _time(state["raised_at"]) < REARM:
        return Result(state)
    raised = Raise(kind, ALARM_CLASSES[kind].severity, {"detail": detail} if detail else {})
    since = at.isoformat() if state is None else state["since"]
    return Result({"since": since, "raised_at": at.isoformat()}, (raised,))


def battery(
    state: State | None, percent: float | None, low: bool | None, limit: float, at: datetime
) -> Result:
    """Charge in per cent, or the device's own word that it is low; either one raises.

    Normal again from limit + `BATTERY_MARGIN`, or when a device that gives no per cent says so.
    """
    is_low = low is True or (percent is not None and percent <= limit)
    if is_low:
        if state is not None and at - _time(state["raised_at"]) < BATTERY_REARM:
            return Result(state)
        detail = {} if percent is None else {"percent": percent, "limit": limit}
        raised = Raise(AlarmKind.LOW_BATTERY, Severity.TECHNICAL, detail)
        return Result({"raised_at": at.isoformat()}, (raised,))
    if state is None:
        return Result(None)
    recovered = percent >= limit + BATTERY_MARGIN if percent is not None else low is False
    return Result(None, (Clear(AlarmKind.LOW_BATTERY),)) if recovered else Result(state)


def clock(state: State | None, offset_s: float, at: datetime) -> Result:
    """A device's clock: how far ahead of ours it was (s, negative: behind) when a message came.

    Ahead, or so far behind that no buffer explains it, is wrong by itself; behind is lateness or a
    slow clock, and only a steady one is the clock. `at` is when the message came. State: count, at
    and offset_s (of the first of those that agree), raised_at, known_s (what so many agreed on).
    """
    if abs(offset_s) <= CLOCK_LIMIT.total_seconds():
        raised = state is not None and state["raised_at"] is not None
        return Result(None, (Clear(AlarmKind.CLOCK_SKEW),) if raised else ())
    if state is None or not _agree(state["offset_s"], offset_s):
        kept = state or {"raised_at": None, "known_s": None}
        return Result({**kept, "count": 1, "at": at.isoformat(), "offset_s": offset_s})
    if state["raised_at"] is not None and state.get("known_s") == state["offset_s"]:
        # Nothing to be kept of every single message.
        return Result(state)
    following = {**state, "count": state["count"] + 1}
    if following["count"] < CLOCK_MESSAGES or at - _time(state["at"]) < CLOCK_SPAN:
        return Result(following)
    following["known_s"] = state["offset_s"]
    if state["raised_at"] is not None:
        return Result(following)
    detail = {"offset_s": round(offset_s), "messages": following["count"]}
    raised_alarm = Raise(AlarmKind.CLOCK_SKEW, Severity.TECHNICAL, detail)
    return Result({**following, "raised_at": at.isoformat()}, (raised_alarm,))


def _agree(one: float, other: float) -> bool:
    """Whether two messages say the same of a clock. Nothing but the clock is ahead."""
    return abs(one - other) <= CLOCK_STEADY.total_seconds() or (
        _cannot_be(one) and _cannot_be(other)
    )


def behind(state: State | None, offset_s: float) -> timedelta | None:
    """By how much a device's clock is known to be behind, if its message is fresh in spite of it.

    `state` is that of `clock`. Fresh is what is hardly later than the clock is slow, as with a
    right clock. What comes out of a long buffer is not: it is no occasion to call, and neither is
    anything while a clock is not known yet. None for both.
    """
    known: float | None = None if state is None else state.get("known_s")
    if known is None or known > 0:
        return None
    age = known - offset_s
    if not -CLOCK_STEADY.total_seconds() <= age <= FRESH.total_seconds():
        return None
    return timedelta(seconds=-known)


def _cannot_be(offset_s: float) -> bool:
    """Whether no delay explains it: ahead of us, or further behind than any buffer lasts."""
    return offset_s > 0 or offset_s < -CLOCK_OLDEST.total_seconds()


def geofence(state: State | None, fix: Position, fence: Fence, at: datetime) -> Result:
    """A fix against the elder's fence; `at` is the time of the fix.

    Outside is what even the fix's inaccuracy does not explain, twice in a row; back inside is what
    lies `FENCE_MARGIN_M` within. State: count, at, raised_at.
    """
    if not fix.valid or (state is not None and at <= _time(state["at"])):
        return Result(state)
    accuracy = fix.accuracy_m
    if accuracy is None:
        accuracy = FENCE_ACCURACY_M.get(fix.source, FENCE_ACCURACY_M["cell"])
    distance = distance_m(fence.lat, fence.lon, fix.lat, fix.lon)
    if distance - accuracy > fence.radius_m:
        known = state or {"count": 0, "raised_at": None}
        following = {**known, "count": known["count"] + 1, "at": at.isoformat()}
        if following["count"] < FENCE_FIXES or known["raised_at"] is not None:
            return Result(following)
        detail = {"distance_m": round(distance), "radius_m": fence.radius_m}
        raised = Raise(AlarmKind.GEOFENCE_EXIT, Severity.MAJOR, detail)
        return Result({**following, "raised_at": at.isoformat()}, (raised,))
    # A margin of half the radius at most, or a small fence could never be entered again.
    if distance <= fence.radius_m - min(FENCE_MARGIN_M, fence.radius_m / 2):
        raised_before = state is not None and state["raised_at"] is not None
        return Result(None, (Clear(AlarmKind.GEOFENCE_EXIT),) if raised_before else ())
    # On the line, or too inaccurate to say: neither a fix outside nor a return.
    if state is not None and state["raised_at"] is None:
        return Result(None)
    return Result(state)


def door(state: State | None, is_open: bool, at: datetime) -> Result:
    """A door's contact. State: since, level (of the alarm that the sweep raised, None before)."""
    if state is not None and at < _time(state["since"]):
        return Result(state)
    if is_open:
        return Result(state or {"since": at.isoformat(), "level": None})
    raised = state is not None and state["level"] is not None
    return Result(None, (Clear(AlarmKind.DOOR_OPEN),) if raised else ())


def door_due(state: State, major: timedelta, critical: timedelta, now: datetime) -> Result:
    """Whether a door that is open rings by now: once as major, once more as critical."""
    waited = now - _time(state["since"])
    level = _CRITICAL if waited >= critical else _MAJOR if waited >= major else None
    if level is None or level == state["level"] or state["level"] == _CRITICAL:
        return Result(state)
    detail = {"minutes": int(waited.total_seconds() // 60)}
    return Result({**state, "level": level}, (Raise(AlarmKind.DOOR_OPEN, Severity(level), detail),))


def bed(state: State | None, occupied: bool, at: datetime) -> Result:
    """A bed sensor. State: occupied, since, raised_at; kept in both states, because only somebody
    who was in bed can have left it."""
    if state is not None and at < _time(state["since"]):
        return Result(state)
    if state is not None and state["occupied"] == occupied:
        return Result(state)
    if state is None and not occupied:
        return Result(None)
    cleared = occupied and state is not None and state["raised_at"] is not None
    return Result(
        {"occupied": occupied, "since": at.isoformat(), "raised_at": None},
        (Clear(AlarmKind.BED_EXIT),) if cleared else (),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
