"""Deviation and drift from what is ordinary for the elder: pure functions, state → Result.

Robust statistics, because a wrist slips and an illness lasts for days: the median is the level, and
1.4826 × MAD the spread, which is the standard deviation where values are normally distributed
(Rousseeuw and Croux 1993). Both rules ask for two things at once, that a value is far out in
spreads and that the difference matters in its own unit; either alone rings for nothing.

These are warnings (minor): fixed limits (`detection/rules.py`) stay what rings for danger.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median
from types import MappingProxyType

from devices.alarms import AlarmKind as K
from devices.alarms import Severity
from ingest.baselines.model import ANY_HOUR, Level, Levels, Recent, Watched
from ingest.detection.model import Clear, Raise, Result, State

NORMAL_SPREAD = 1.4826
"""Standard deviation of normally distributed values in MADs."""

FAR = 4.0
"""So many spreads from the median: once in 30,000 quarters of an hour by chance."""
NEAR = 2.0
"""Ordinary again, and half of `Watched.least`."""
QUARTERS = 3
"""So many quarters of an hour in a row with readings: a flight of stairs is over by then."""

RECENT_DAYS = 3
BEFORE_DAYS = 14
LEAST_DAYS = 7
"""Levels of fewer earlier days say nothing."""
DRIFT_FAR = 3.0

WATCHED: Mapping[str, Watched] = MappingProxyType(
    {
        each.metric: each
        for each in (
            # 18 beats are the difference between sleep and a slow walk, or of 2 °C of fever
            # (8 to 10 beats a degree, Liebermeister).
            Watched("heart_rate", K.HEART_RATE_LOW, K.HEART_RATE_HIGH, 3.0, 18.0, 8.0),
            # NEWS2 gives its first point three to four per cent below what is usual.
            Watched("spo2", K.SPO2_LOW, None, 0.8, 4.0, 2.0),
            Watched(
                "respiratory_rate", K.RESPIRATORY_RATE_LOW, K.RESPIRATORY_RATE_HIGH, 1.0, 6.0, 3.0
            ),
            # Old people are ill below 38: 1.1 °C above one's own level counts as fever
            # (IDSA, long-term care).
            Watched(
                "body_temperature", K.BODY_TEMPERATURE_LOW, K.BODY_TEMPERATURE_HIGH, 0.15, 1.1, 0.5
            ),
            Watched("bp_systolic", K.BLOOD_PRESSURE_LOW, K.BLOOD_PRESSURE_HIGH, 5.0, 30.0, 12.0),
            Watched("bp_diastolic", K.BLOOD_PRESSURE_LOW, K.BLOOD_PRESSURE_HIGH, 3.0, 20.0, 8.0),
        )
    }
)


def deviation(state: State | None, recent: Recent, watched: Watched) -> Result:
    """The last quarters against the baseline of this hour.

    All of the last `QUARTERS` must lie on the same side, each far out. Rings once, as minor, until
    the newest quarter is ordinary again. State: kind, raised_at.
    """
    spread = max(watched.floor, NORMAL_SPREAD * recent.mad)
    off = [mean - recent.median for mean in recent.means]
    if state is not None:
        over = abs(off[0]) <= max(NEAR * spread, watched.least / 2)
        return Result(None, (Clear(K(state["kind"])),)) if over else Result(state)
    kind = watched.kind(off[0])
    if kind is None or len(off) < QUARTERS or not _same_side(off):
        return Result(None)
    if any(abs(each) < max(FAR * spread, watched.least) for each in off):
        return Result(None)
    detail: dict[str, str | float | int | bool] = {
        "metric": watched.metric,
        "value": round(recent.means[0], 1),
        "baseline": round(recent.median, 1),
        "days": recent.days,
        "minutes": 15 * QUARTERS,
    }
    if recent.hour != ANY_HOUR:
        detail["hour"] = recent.hour
    raised = Raise(kind, Severity.MINOR, detail)
    return Result({"kind": kind.value, "raised_at": recent.at.isoformat()}, (raised,))


def drift(state: State | None, levels: Levels, watched: Watched, now: datetime) -> Result:
    """The level of the last days against that of the two weeks before.

    Each of the last `RECENT_DAYS` must lie on the same side, and their median far out. Rings once,
    until the level is within half of that again. State: kind, raised_at, difference.
    """
    found = _shift(levels.days, watched)
    if found is None:
        return Result(state)
    value, before, spread = found
    difference = value - before
    if state is not None:
        over = abs(difference) <= watched.drift / 2 or difference * state["difference"] < 0
        return Result(None, (Clear(K(state["kind"])),)) if over else Result(state)
    kind = watched.kind(difference)
    last = [each.value - before for each in levels.days[-RECENT_DAYS:]]
    if kind is None or not _same_side(last):
        return Result(None)
    if abs(difference) < max(DRIFT_FAR * spread, watched.drift):
        return Result(None)
    detail: dict[str, str | float | int | bool] = {
        "metric": watched.metric,
        "value": round(value, 1),
        "baseline": round(before, 1),
        "days": BEFORE_DAYS,
        "drift_days": RECENT_DAYS,
        "night": levels.night,
    }
    raised = Raise(kind, Severity.MINOR, detail)
    kept = {"kind": kind.value, "raised_at": now.isoformat(), "difference": difference}
    return Result(kept, (raised,))


def _shift(days: Sequence[Level], watched: Watched) -> tuple[float, float, float] | None:
    """(level of the last days, level before, spread before); None where too little is known."""
    if not days:
        return None
    newest = days[-1].day
    last = [each.value for each in days if (newest - each.day).days < RECENT_DAYS]
    before = [each.value for each in days if (newest - each.day).days >= RECENT_DAYS]
    if len(last) < RECENT_DAYS or len(before) < LEAST_DAYS:
        return None
    level = median(before)
    mad = median(abs(value - level) for value in before)
    return median(last), level, max(watched.floor, NORMAL_SPREAD * mad)


def _same_side(differences: Sequence[float]) -> bool:
    return all(each > 0 for each in differences) or all(each < 0 for each in differences)
