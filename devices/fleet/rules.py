"""How long a device was heard, from the moments at which it came and went. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from devices.fleet.model import Transition
from devices.profiles import PROFILES

_SLACK = timedelta(hours=2)


def uptime(transitions: Iterable[Transition], begin: datetime, end: datetime) -> float | None:
    """Return the share of [begin, end) in which a device was heard; None where nothing is known.

    `transitions` are those of one device, in order; the last one before `begin` says how it began.
    What lies before the first of all is unknown and does not count.
    """
    online_s = known_s = 0.0
    since: datetime | None = None
    online = False
    for each in transitions:
        if each.at >= end:
            break
        if since is not None and each.at > begin:
            length = (each.at - max(since, begin)).total_seconds()
            known_s += length
            online_s += length if online else 0.0
        since, online = each.at, each.online
    if since is not None:
        length = (end - max(since, begin)).total_seconds()
        known_s += length
        online_s += length if online else 0.0
    return online_s / known_s if known_s > 0 else None


def settled_after() -> timedelta:
    """Return after how long an hour is final: silence is noticed late, and then dated back."""
    longest = max(profile.offline_after_seconds for profile in PROFILES.values())
    return timedelta(seconds=longest) + _SLACK
