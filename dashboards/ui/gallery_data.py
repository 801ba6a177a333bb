"""Invented people and readings for the gallery: plausible, of real length, the same every time."""

import math
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from dashboards.ui.i18n import N_, Translator, translator
from dashboards.ui.listing import Listing
from dashboards.ui.words import word


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One line of the queue as `ui/queue.html` wants it; times are aware, in UTC."""

    id: str
    severity: str
    kind: str
    status: str
    who: str
    where: str
    since: datetime
    href: str = "/ui"
    claimed_by: str | None = None
    repeats: int = 1
    escalated: bool = False
    count: int = 1
    mine: bool = False


@dataclass(frozen=True, slots=True)
class DemoRow:
    """One line of the gallery's table."""

    name: str
    born: date
    place: str
    device: str
    online: bool
    seen: datetime
    battery: float | None


@dataclass(frozen=True, slots=True)
class Demo:
    """Everything that the gallery shows."""

    since_ok: datetime
    since_late: datetime
    since_very_late: datetime
    yesterday: datetime
    last_year: datetime
    born: date
    rows: list[DemoRow]
    queue: list[QueueItem]
    markers: list[dict[str, object]]
    errors: dict[str, str]
    listing: Listing = field(default_factory=lambda: Listing("/ui", "name", total=1284, page=3))


def demo_queue(now: datetime) -> list[QueueItem]:
    """Return a busy minute of a centre."""

    def before(seconds: int) -> datetime:
        return now - timedelta(seconds=seconds)

    return [
        QueueItem(
            "q1", "critical", "fall", "open", "李秀英 82 岁", "新城区", before(18), repeats=2
        ),
        QueueItem("q2", "critical", "sos", "open", "巴特尔 79 岁", "回民区", before(94)),
        QueueItem(
            "q3",
            "critical",
            "smoke",
            "dispatched",
            "欧阳国庆 91 岁",
            "玉泉区",
            before(410),
            claimed_by="王芳",
            escalated=True,
        ),
        QueueItem(
            "q4",
            "major",
            "heart_rate_high",
            "acknowledged",
            "乌云其木格 77 岁",
            "赛罕区",
            before(192),
            claimed_by="赵磊",
        ),
        QueueItem("q5", "minor", "bed_exit", "open", "陈玉兰 85 岁", "新城区", before(1260)),
        QueueItem(
            "q6", "technical", "device_offline", "open", "4 台设备", "赛罕区", before(5400), count=4
        ),
    ]


def _rows(now: datetime) -> list[DemoRow]:
    minutes = timedelta(minutes=1)
    return [
        DemoRow("李秀英", date(1943, 4, 12), "新城区海东路街道", "W-0193", True, now, 87),
        DemoRow("巴特尔", date(1946, 9, 3), "回民区", "P-0021", True, now - 3 * minutes, 41),
        DemoRow(
            "乌云其木格",
            date(1948, 12, 30),
            "赛罕区昭乌达路街道学苑社区",
            "W-0871",
            False,
            now - 3000 * minutes,
            None,
        ),
        DemoRow("陈玉兰", date(1940, 1, 8), "新城区", "B-0007", True, now - 47 * minutes, 9),
    ]


def _markers(now: datetime) -> list[dict[str, object]]:
    stamp = (now - timedelta(minutes=3)).isoformat()
    return [
        {"kind": "home", "lat": 40.8522, "lon": 111.7013, "label": "李秀英家"},
        {
            "kind": "device",
            "lat": 40.8529,
            "lon": 111.7038,
            "label": "手表 W-0193",
            "accuracy": 60,
            "at": now.isoformat(),
            "detail": "GNSS",
        },
        {"kind": "responder", "lat": 40.8489, "lon": 111.7062, "label": "李强", "at": stamp},
        {"kind": "responder", "lat": 40.8575, "lon": 111.6961, "label": "其其格", "at": stamp},
    ]


def demo_data(now: datetime, locale: str) -> Demo:
    """Return the gallery's data around a moment."""
    tr = translator(locale)
    return Demo(
        since_ok=now - timedelta(seconds=18),
        since_late=now - timedelta(seconds=94),
        since_very_late=now - timedelta(seconds=410),
        yesterday=now - timedelta(days=1),
        last_year=now - timedelta(days=400),
        born=date(1943, 4, 12),
        rows=_rows(now),
        queue=demo_queue(now),
        markers=_markers(now),
        errors={"id_number": tr.gettext(N_("身份证号应为 18 位，现在是 17 位"))},
    )


def demo_vitals(now: datetime, locale: str) -> dict[str, object]:
    """Return a day of readings with a gap and an alarm, in the format of the chart's endpoint."""
    tr = translator(locale)
    end = int(now.timestamp() * 1000)
    start = end - 86_400_000
    times = [start + i * 600_000 for i in range(144) if not 60 <= i <= 72]
    heart = _wave(times, 76, 9, 0)
    heart[-3:] = [(at, value) for (at, _), value in zip(heart[-3:], (118, 131, 127), strict=True)]
    high = {"label": tr.gettext(N_("上限")), "severity": "major"}
    low = {"label": tr.gettext(N_("下限")), "severity": "major"}
    pressure = [
        _series(tr, "bp_systolic", _wave(times, 128, 8, 0)),
        _series(tr, "bp_diastolic", _wave(times, 79, 5, 0)),
    ]
    temperature = [_series(tr, "body_temperature", _wave(times, 36.5, 0.2, 1))]
    limits = [{"value": 120, **high}, {"value": 50, **low}]
    return {
        "from": start,
        "to": end,
        "metrics": [
            _metric(tr, "heart_rate", [_series(tr, "heart_rate", heart)], limits),
            _metric(tr, "blood_pressure", pressure, [{"value": 160, **high}]),
            _metric(tr, "body_temperature", temperature, [{"value": 38.0, **high}], digits=1),
        ],
        "alarms": [{"at": end - 600_000, "label": tr.gettext(N_("心率过高")), "severity": "major"}],
    }


def _wave(times: list[int], base: float, swing: float, digits: int) -> list[tuple[int, float]]:
    return [
        (t, round(base + swing * math.sin(t / 6e6) + swing / 2 * math.sin(t / 9e5), digits))
        for t in times
    ]


def _series(tr: Translator, code: str, points: list[tuple[int, float]]) -> dict[str, object]:
    return {"code": code, "label": word(code, "metric", tr), "points": points}


def _metric(
    tr: Translator,
    code: str,
    series: list[dict[str, object]],
    thresholds: list[dict[str, object]],
    digits: int = 0,
) -> dict[str, object]:
    return {
        "code": code,
        "label": word(code, "metric", tr),
        "unit": word(code, "metric_unit", tr),
        "digits": digits,
        "gap_s": 1800,
        "series": series,
        "thresholds": thresholds,
    }
