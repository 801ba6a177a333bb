"""The simulator's clock: the only place of firmware-sim that looks at the time of day.

Device time on the wire is Unix milliseconds in UTC; the daily rhythm of people follows the local
time of China.
"""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now_ms() -> int:
    """Now, in Unix milliseconds (UTC)."""
    return time.time_ns() // 1_000_000


def local_time(ms: int) -> datetime:
    """The wall clock of Asia/Shanghai at `ms` Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, SHANGHAI)


def local_hours(ms: int) -> float:
    """Hours since local midnight, 0 ≤ h < 24, with fraction."""
    local = local_time(ms)
    return local.hour + local.minute / 60 + local.second / 3600


def utc_time(ms: int) -> datetime:
    """The UTC time at `ms` Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def iso(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, as the report writes moments."""
    return utc_time(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
