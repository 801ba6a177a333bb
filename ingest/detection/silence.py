"""The rules of what does not happen: nobody moves, nobody comes back to bed. Pure, local time."""

from datetime import datetime, time, timedelta

from devices.alarms import AlarmKind, Severity
from ingest.detection.defaults import (
    BED_EXIT,
    BED_NIGHT_BEGINS,
    BED_NIGHT_ENDS,
    INACTIVITY_DAY,
    INACTIVITY_NIGHT,
    LOCAL_ZONE,
    NIGHT_BEGINS,
    NIGHT_ENDS,
)
from ingest.detection.model import ElderWatch, Raise, Result, State


def is_night(moment: datetime, begins: time, ends: time) -> bool:
    """Whether a moment lies in the night, local time; the night goes over midnight."""
    local = moment.astimezone(LOCAL_ZONE).time()
    return local >= begins or local < ends


def quiet_share(since: datetime, now: datetime, day: timedelta, night: timedelta) -> float:
    """How much of the allowed silence is used up: 1.0 is the whole of it.

    An hour of the day counts 1/day, an hour of the night 1/night. So nobody rings at seven in the
    morning because an elder slept for nine hours, and a silence from six in the evening on rings in
    the night already, when three of the six hours of the day were used up before bedtime.
    """
    share = 0.0
    moment = since
    while moment < now:
        end = min(_next_change(moment), now)
        allowed = night if is_night(moment, NIGHT_BEGINS, NIGHT_ENDS) else day
        share += (end - moment) / allowed
        # After a year of silence the share is far above 1 in any case.
        if share > 1_000:
            break
        moment = end
    return share


def _next_change(moment: datetime) -> datetime:
    """The next beginning or end of a night after this moment."""
    local = moment.astimezone(LOCAL_ZONE)
    edges = [
        datetime.combine(local.date() + timedelta(days=days), edge, LOCAL_ZONE)
        for days in (0, 1)
        for edge in (NIGHT_ENDS, NIGHT_BEGINS)
    ]
    return min(edge for edge in edges if edge > local)


def inactivity(state: State | None, last: datetime, watch: ElderWatch, now: datetime) -> Result:
    """Nobody has moved since `last`. Rings again after another whole silence of the same length.

    State: raised_at. It is cleared by the next sign of movement (`detection/service.py`).
    """
    since = last if state is None else max(last, datetime.fromisoformat(state["raised_at"]))
    day = watch.inactivity_day or INACTIVITY_DAY
    night = watch.inactivity_night or INACTIVITY_NIGHT
    if quiet_share(since, now, day, night) < 1.0:
        return Result(state)
    minutes = int((now - last).total_seconds() // 60)
    raised = Raise(AlarmKind.INACTIVITY, Severity.MAJOR, {"minutes": minutes})
    return Result({"raised_at": now.isoformat()}, (raised,))


def bed_due(state: State, now: datetime) -> Result:
    """Whether somebody who left the bed at night is out of it for too long by now."""
    if state["occupied"] or state["raised_at"] is not None:
        return Result(state)
    since = datetime.fromisoformat(state["since"])
    left_at_night = is_night(since, BED_NIGHT_BEGINS, BED_NIGHT_ENDS)
    still_night = is_night(now, BED_NIGHT_BEGINS, BED_NIGHT_ENDS)
    # Yesterday's night is no reason to ring in this one.
    if not left_at_night or not still_night or now - since > timedelta(hours=8):
        return Result(state)
    if now - since < BED_EXIT:
        return Result(state)
    minutes = int((now - since).total_seconds() // 60)
    raised = Raise(AlarmKind.BED_EXIT, Severity.MINOR, {"minutes": minutes})
    return Result({**state, "raised_at": now.isoformat()}, (raised,))
