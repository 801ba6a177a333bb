"""What limits and watch settings may say. Pure."""

from collections.abc import Sequence

from care.elders.problems import Problem
from care.watching.model import Threshold, Watch
from devices.metrics import METRICS
from kernel.geo import outside_china

LIMITED_METRICS = (
    "heart_rate",
    "spo2",
    "bp_systolic",
    "bp_diastolic",
    "body_temperature",
    "respiratory_rate",
    "glucose",
)
MINUTES = {
    "inactivity_day_min": (30, 2880),
    "inactivity_night_min": (30, 2880),
    "door_open_major_min": (1, 1440),
    "door_open_critical_min": (1, 1440),
}
FENCE_RADIUS_M = (50, 50_000)
LIMIT_NAMES = ("low_critical", "low_major", "high_major", "high_critical")


def check_thresholds(thresholds: Sequence[Threshold]) -> list[Problem]:
    """Limits must rise and lie where the metric can be; one without any limit is dropped later."""
    problems: list[Problem] = []
    for threshold in thresholds:
        at = f"thresholds.{threshold.metric}"
        if threshold.metric not in LIMITED_METRICS:
            problems.append(Problem(at, "metric_unknown"))
            continue
        metric = METRICS[threshold.metric]
        limits = [(name, getattr(threshold, name)) for name in LIMIT_NAMES]
        given = [(name, value) for name, value in limits if value is not None]
        facts = {"low": metric.plausible_min, "high": metric.plausible_max}
        problems += [
            Problem(f"{at}.{name}", "limits_range", facts)
            for name, value in given
            if not metric.plausible(value)
        ]
        values = [value for _, value in given]
        lows = [value for name, value in given if name.startswith("low")]
        highs = [value for name, value in given if name.startswith("high")]
        if values != sorted(values) or (lows and highs and lows[-1] >= highs[0]):
            problems.append(Problem(f"{at}.{given[0][0]}", "limits_order"))
    return problems


def check_watch(watch: Watch) -> list[Problem]:
    """Minutes in their ranges, a fence whole or not at all."""
    problems: list[Problem] = []
    for name, (low, high) in MINUTES.items():
        value = getattr(watch, name)
        if value is not None and not low <= value <= high:
            problems.append(Problem(f"watch.{name}", "minutes_range", {"low": low, "high": high}))
    major, critical = watch.door_open_major_min, watch.door_open_critical_min
    if major is not None and critical is not None and critical < major:
        problems.append(Problem("watch.door_open_critical_min", "doors_order"))
    fence = (watch.fence_lat, watch.fence_lon, watch.fence_radius_m)
    if any(part is not None for part in fence):
        if watch.fence_lat is None or watch.fence_lon is None or watch.fence_radius_m is None:
            problems.append(Problem("watch.fence_radius_m", "fence_incomplete"))
        elif outside_china(watch.fence_lat, watch.fence_lon):
            problems.append(Problem("watch.fence_lat", "position_abroad"))
        elif not FENCE_RADIUS_M[0] <= watch.fence_radius_m <= FENCE_RADIUS_M[1]:
            facts = {"low": FENCE_RADIUS_M[0], "high": FENCE_RADIUS_M[1]}
            problems.append(Problem("watch.fence_radius_m", "radius_range", facts))
    return problems
