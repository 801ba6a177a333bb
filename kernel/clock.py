"""The only place that asks what time it is; everything else is passed `now`."""

import time
from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds of a clock that never goes backwards, for measuring durations."""
    return time.monotonic()
