"""What the incident's page says of a vital sign that left the elder's own ordinary level."""

import pytest

from dashboards.console.incidents.words import alarm_detail
from dashboards.ui.i18n import translator

HOUR = {"metric": "heart_rate", "value": 80.0, "baseline": 58, "days": 14, "minutes": 45, "hour": 3}
DAY = {"metric": "bp_systolic", "value": 158, "baseline": 124.5, "days": 9, "minutes": 45}
NIGHTS = {
    "metric": "spo2", "value": 92.5, "baseline": 96, "days": 14, "drift_days": 3, "night": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("detail", "chinese", "english"),
    [
        (
            HOUR,
            "静息心率 80 次/分，比本人近 14 天 3 时的平常值 58 高 22",
            "Resting heart rate 80 /min, 22 above their own level at 3:00 over 14 days (58)",
        ),
        (
            DAY,
            "静息收缩压 158 mmHg，比本人近 9 天的平常值 124.5 高 33.5",
            "Resting systolic blood pressure 158 mmHg, 33.5 above their own 9-day level (124.5)",
        ),
        (
            NIGHTS,
            "夜间血氧饱和度连续 3 晚偏低：92.5 %，比本人此前 14 天低 3.5（平常 96）",
            "Night oxygen saturation low for 3 nights: 92.5 %,"
            " 3.5 below their own 14 days before (96)",
        ),
    ],
)
def test_the_difference_and_what_is_ordinary_are_said(
    detail: dict[str, object], chinese: str, english: str
) -> None:
    assert alarm_detail(detail, translator("zh-CN")).casefold() == chinese.casefold()
    assert alarm_detail(detail, translator("en")).casefold() == english.casefold()
