"""What each mode does to each kind of alarm, as one table; how long a mode may run. Pure.

    kind of alarm                                   test      away      maintenance
    life, body, fire, water, doors, fences          TEST      CALLS     CALLS
    nobody moves, nobody comes back to bed          TEST      HELD      HELD
    device offline                                  HELD      HELD      HELD
    device tampered with                            HELD      CALLS     HELD
    self-test overdue                               CALLS     HELD      HELD
    low battery, clock wrong                        CALLS     CALLS     CALLS

TEST opens a test incident: it is recorded and shown, and nobody is called. A test hides nothing
that another device finds, and what began in it and lasts rings when it is over. HELD is written
down and nobody is told. CALLS is as usual. A journey (away) or a repair never silences what says
that a life is in danger: whoever presses the button does not know of the mode. What is held back is
looked at again when the mode is over, and told then if it still lasts.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from devices.alarms import ALARM_CLASSES, AlarmKind
from devices.modes.model import DeviceMode, Modes


class Effect(StrEnum):
    """What becomes of an alarm."""

    CALLS = "calls"
    TEST = "test"
    HELD = "held"


_K, _M = AlarmKind, DeviceMode
HELD_BACK: Mapping[DeviceMode, frozenset[AlarmKind]] = {
    _M.TEST: frozenset({_K.DEVICE_OFFLINE, _K.TAMPER}),
    _M.AWAY: frozenset(
        {_K.INACTIVITY, _K.BED_EXIT, _K.DEVICE_OFFLINE, _K.SELF_TEST_OVERDUE},
    ),
    _M.MAINTENANCE: frozenset(
        {_K.INACTIVITY, _K.BED_EXIT, _K.DEVICE_OFFLINE, _K.TAMPER, _K.SELF_TEST_OVERDUE},
    ),
}
LONGEST: Mapping[DeviceMode, timedelta] = {
    # A forgotten test mode is an elder whose button calls nobody.
    _M.TEST: timedelta(hours=24),
    _M.AWAY: timedelta(days=90),
    _M.MAINTENANCE: timedelta(days=30),
}
_REMIND: Mapping[DeviceMode, timedelta] = {
    _M.TEST: timedelta(minutes=10),
    _M.AWAY: timedelta(days=1),
    _M.MAINTENANCE: timedelta(hours=2),
}


def effect(kind: AlarmKind, modes: Modes, now: datetime) -> Effect:
    """Return what becomes of an alarm of a device whose modes these are."""
    running = modes.running(now)
    if any(kind in HELD_BACK[mode] for mode in running):
        return Effect.HELD
    if DeviceMode.TEST in running and not ALARM_CLASSES[kind].technical:
        return Effect.TEST
    return Effect.CALLS


def holder(kind: AlarmKind, modes: Modes, now: datetime) -> DeviceMode | None:
    """Return the mode that holds an alarm back, None where none does."""
    return next((mode for mode in modes.running(now) if kind in HELD_BACK[mode]), None)


def remind_before(mode: DeviceMode, runs: timedelta) -> timedelta:
    """Return how long before its end a mode of this length is called to mind."""
    return min(_REMIND[mode], runs / 4)
