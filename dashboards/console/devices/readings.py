"""What a device measures and what it last measured, for its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboards.ui.i18n import N_, Translator
from devices.metrics import METRICS, Metric
from devices.profiles import PROFILES
from ingest.telemetry.model import LatestReading

_BY_ID: Mapping[int, Metric] = {metric.id: metric for metric in METRICS.values()}
# The two states of metrics that are a yes or a no: (1, 0).
SWITCHES: Mapping[str, tuple[str, str]] = {
    "motion": (N_("有人活动"), N_("无人活动")),
    "door_open": (N_("开着"), N_("关着")),
    "bed_occupied": (N_("在床"), N_("离床")),
    "smoke": (N_("有烟雾"), N_("无烟雾")),
    "gas": (N_("有泄漏"), N_("无泄漏")),
    "water_leak": (N_("有积水"), N_("无积水")),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity of the model, with its newest value since the device has its holder.

    `state` puts the value of a yes-or-no metric into a word, "" for a number.
    """

    code: str
    name: str
    unit: str
    value: float | None
    state: str
    at: datetime | None


def measures_of(
    profile: str, latest: Sequence[LatestReading], since: datetime | None, tr: Translator
) -> list[Measure]:
    """Return what the model measures, then what the device sent besides.

    Values from before `since` are another elder's and are left out.
    """
    newest = {
        reading.metric: reading for reading in latest if since is None or reading.time >= since
    }
    model = PROFILES.get(profile)
    metrics = list(model.metrics) if model else []
    known = {metric.id for metric in metrics}
    metrics += [_BY_ID[number] for number in newest if number in _BY_ID and number not in known]
    return [_measure(metric, newest.get(metric.id), tr) for metric in metrics]


def _measure(metric: Metric, reading: LatestReading | None, tr: Translator) -> Measure:
    chinese = tr.locale.startswith("zh")
    state = ""
    if reading is not None and metric.code in SWITCHES:
        on, off = SWITCHES[metric.code]
        state = tr.gettext(on if reading.value else off)
    return Measure(
        code=metric.code,
        name=metric.name_zh if chinese else metric.name_en,
        unit=metric.unit_zh if chinese else metric.unit_en,
        value=reading.value if reading else None,
        state=state,
        at=reading.time if reading else None,
    )
