"""The elder's own limits and watch settings, which override the defaults of the detection rules."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Threshold:
    """The elder's own limits of one metric, in its unit (devices/metrics.toml); None means none.

    A reading at or beyond a limit counts as outside.
    """

    metric: str
    low_critical: float | None = None
    low_major: float | None = None
    high_major: float | None = None
    high_critical: float | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """How the elder is watched over at home; None means the default of the detection rules.

    Times are minutes, the fence is a circle in metres around a WGS-84 position.
    """

    inactivity_day_min: int | None = None
    inactivity_night_min: int | None = None
    door_open_major_min: int | None = None
    door_open_critical_min: int | None = None
    fence_lat: float | None = None
    fence_lon: float | None = None
    fence_radius_m: float | None = None
    away_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ElderThreshold(Threshold):
    """A threshold with whom it belongs to, for reading many elders' at once."""

    elder_id: uuid.UUID = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class ElderWatch(Watch):
    """Watch settings with whom they belong to, for reading many elders' at once."""

    elder_id: uuid.UUID = field(kw_only=True)
