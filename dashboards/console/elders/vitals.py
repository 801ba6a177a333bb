"""Vital signs for a chart: readings, limits and alarms of one elder in one span of time.

The format is that of dashboards/assets/src/islands/chart-data.ts.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from care.elders.summary import thresholds_for
from care.watching.model import Threshold
from care.watching.rules import LIMIT_NAMES
from dashboards.console.elders import store
from dashboards.ui import words
from dashboards.ui.i18n import N_, Translator
from devices.metrics import METRICS
from ingest.detection.defaults import VITALS
from ingest.telemetry.chart import series
from ingest.telemetry.model import Series
from kernel.db import Tx

HOURS = (24, 168, 720)
MOST_HOURS = 24 * 366
_MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric of the chart: its codes in the catalogue, decimals, and the longest plain gap.

    What somebody measures by hand twice a day is one line for two days; a watch that says nothing
    for an hour has a gap.
    """

    codes: tuple[str, ...]
    digits: int = 0
    gap: timedelta = timedelta(hours=1)


CHARTS: Mapping[str, Shown] = {
    "heart_rate": Shown(("heart_rate",)),
    "spo2": Shown(("spo2",)),
    "blood_pressure": Shown(("bp_systolic", "bp_diastolic"), gap=timedelta(days=2)),
    "body_temperature": Shown(("body_temperature",), 1, timedelta(hours=12)),
    "respiratory_rate": Shown(("respiratory_rate",)),
    "glucose": Shown(("glucose",), 1, timedelta(days=2)),
    "weight": Shown(("weight",), 1, timedelta(days=14)),
    "steps": Shown(("steps",), gap=timedelta(hours=6)),
}


async def chart_data(
    tx: Tx,
    elder_id: uuid.UUID,
    tr: Translator,
    *,
    start: datetime,
    end: datetime,
    metric: str = "",
) -> dict[str, Any]:
    """Return what the chart draws from `start` to `end`: every metric with readings, or one."""
    own = {one.metric: one for one in await thresholds_for(tx, [elder_id])}
    wanted = {metric: CHARTS[metric]} if metric in CHARTS else CHARTS
    metrics = []
    for code, shown in wanted.items():
        found = {
            one: await series(tx, elder_id, METRICS[one].id, start, end, _MOST_POINTS)
            for one in shown.codes
        }
        if any(part.points for part in found.values()):
            metrics.append(_metric(code, shown, found, own, tr))
    alarms = await store.alarms_between(tx, elder_id, start, end)
    return {
        "from": _ms(start),
        "to": _ms(end),
        "metrics": metrics,
        "alarms": [
            {
                "at": _ms(one.at),
                "label": words.word(one.kind, "alarm_kind", tr),
                "severity": one.severity,
            }
            for one in alarms
        ],
    }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _metric(
    code: str,
    shown: Shown,
    found: Mapping[str, Series],
    own: Mapping[str, Threshold],
    tr: Translator,
) -> dict[str, Any]:
    steps = [part.step for part in found.values() if part.step]
    gap = max([shown.gap, *(step * 2 for step in steps)])
    lines: list[dict[str, Any]] = []
    for one, part in found.items():
        lines += _lines(one, part, shown.digits, tr)
    return {
        "code": code,
        "label": words.word(code, "metric", tr),
        "unit": words.word(code, "metric_unit", tr),
        "digits": shown.digits,
        "gap_s": int(gap.total_seconds()),
        "series": lines,
        "thresholds": [line for one in shown.codes for line in _limits(one, own.get(one), tr)],
    }


def _lines(code: str, part: Series, digits: int, tr: Translator) -> list[dict[str, Any]]:
    label = words.word(code, "metric", tr)
    if part.step is None:
        points = [[_ms(p.time), round(p.mean, digits)] for p in part.points]
        return [{"code": code, "label": label, "points": points}]
    # A mean over hours would hide exactly the reading that somebody looks for.
    ends = (("high", N_("%(metric)s 最高")), ("low", N_("%(metric)s 最低")))
    return [
        {
            "code": f"{code}_{name}",
            "label": tr.gettext(text) % {"metric": label},
            "points": [[_ms(p.time), round(getattr(p, name), digits)] for p in part.points],
        }
        for name, text in ends
    ]


_LIMIT_WORDS = {
    "low_critical": (N_("过低·紧急"), "critical"),
    "low_major": (N_("过低·重要"), "major"),
    "high_major": (N_("过高·重要"), "major"),
    "high_critical": (N_("过高·紧急"), "critical"),
}


def limits_of(code: str, own: Threshold | None) -> tuple[dict[str, float], bool]:
    """Return the limits that count for a metric, and whether they are the elder's own."""
    if own is not None:
        given = {name: getattr(own, name) for name in LIMIT_NAMES}
        return {name: value for name, value in given.items() if value is not None}, True
    rule = VITALS.get(code)
    if rule is None:
        return {}, False
    return {
        name: value for name in LIMIT_NAMES if (value := getattr(rule.limits, name)) is not None
    }, False


def _limits(code: str, own: Threshold | None, tr: Translator) -> list[dict[str, Any]]:
    limits, _ = limits_of(code, own)
    return [
        {
            "value": value,
            "label": tr.gettext(_LIMIT_WORDS[name][0]),
            "severity": _LIMIT_WORDS[name][1],
        }
        for name, value in limits.items()
    ]
