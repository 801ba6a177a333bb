"""Times, ages, durations and numbers as people read them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from care.consents.model import ConsentPurpose
from care.elders.model import LivingSituation, Relation, Sex
from dashboards.ui import words
from dashboards.ui.filters import (
    age_years,
    ago_text,
    clock_text,
    distance_text,
    duration_text,
    make_filters,
    number_text,
    phone_text,
    severity_mark,
    when_text,
)
from dashboards.ui.i18n import translator
from devices.alarms import AlarmKind, Severity
from devices.profiles.model import DeviceType
from devices.registry.model import DeviceState
from hotline.incidents.model import Resolution, Status
from kernel.auth.model import Role

ZH, EN = translator("zh"), translator("en")
# 2026-03-05 22:03 in Shanghai: eight hours before UTC's midnight, two before the local one.
NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)


@pytest.fixture
def filters() -> dict[str, Callable[..., Any]]:
    return make_filters(ZH, lambda: NOW)


@pytest.mark.parametrize(
    ("moment", "chinese", "english"),
    [
        (NOW, "今天 22:03", "today 22:03"),
        (NOW - timedelta(hours=22, minutes=4), "昨天 23:59", "yesterday 23:59"),
        (NOW + timedelta(hours=2), "明天 00:03", "tomorrow 00:03"),
        (NOW - timedelta(days=9), "2月24日 22:03", "24 Feb 22:03"),
        (NOW - timedelta(days=365), "2025年3月5日 22:03", "5 Mar 2025 22:03"),
    ],
)
def test_days_are_the_local_ones(moment: datetime, chinese: str, english: str) -> None:
    assert when_text(moment, NOW, ZH) == chinese
    assert when_text(moment, NOW, EN) == english


@pytest.mark.parametrize(
    ("seconds", "chinese", "english"),
    [
        (-20, "刚刚", "just now"),
        (59, "刚刚", "just now"),
        (60, "1 分钟前", "1 min ago"),
        (3599, "59 分钟前", "59 min ago"),
        (7200, "2 小时前", "2 h ago"),
        (86400, "昨天 22:03", "yesterday 22:03"),
        (-3600, "今天 23:03", "today 23:03"),
    ],
)
def test_ages_of_events_are_said_in_one_unit(seconds: int, chinese: str, english: str) -> None:
    moment = NOW - timedelta(seconds=seconds)
    assert ago_text(moment, NOW, ZH) == chinese
    assert ago_text(moment, NOW, EN) == english


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        when_text(datetime(2026, 3, 5), NOW, ZH)  # noqa: DTZ001 - the mistake under test


def test_a_time_carries_its_machine_form_and_full_title(filters: dict[str, Any]) -> None:
    assert filters["ago"](NOW - timedelta(minutes=3)) == (
        '<time datetime="2026-03-05T14:00:00Z" title="2026年3月5日 星期四 22:00:00" data-ago>'
        "3 分钟前</time>"
    )
    assert "data-ago" not in filters["when"](NOW)
    assert filters["when"](None) == "—"
    assert filters["day"](date(1943, 4, 12)) == "1943年4月12日"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 秒"),
        (45, "45 秒"),
        (80, "1 分 20 秒"),
        (120, "2 分"),
        (7500, "2 小时 5 分"),
        (3601, "1 小时"),
        (273_600, "3 天 4 小时"),
        (-5, "0 秒"),
    ],
)
def test_durations_have_two_units_at_most(seconds: int, text: str) -> None:
    assert duration_text(seconds, ZH) == text


def test_clocks_show_hours_only_when_there_are_some() -> None:
    assert [clock_text(s) for s in (0, 42, 725, 3723, -3)] == [
        "00:00",
        "00:42",
        "12:05",
        "1:02:03",
        "00:00",
    ]


def test_an_age_changes_on_the_local_birthday() -> None:
    born = date(1943, 3, 6)
    assert age_years(born, NOW) == 82
    assert age_years(born, NOW + timedelta(hours=1, minutes=57)) == 83


def test_numbers_carry_thousands_and_units(filters: dict[str, Any]) -> None:
    assert [number_text(v) for v in (12860, 36.5, 72.0, None)] == ["12,860", "36.5", "72", "—"]
    assert number_text(36, 1) == "36.0"
    assert "次/分" in filters["quantity"](72, "次/分")
    assert filters["quantity"](None, "%") == "—"
    assert "<b>" not in filters["quantity"](72, "<b>")


def test_distances_are_rounded_to_what_is_known() -> None:
    shown = [distance_text(m, ZH) for m in (7.4, 423, 996, 1240, None)]
    assert shown == ["7 米", "420 米", "1.0 公里", "1.2 公里", "—"]


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("13904710501", "139 0471 0501"),
        ("04716281234", "0471 628 1234"),
        ("01062812345", "010 6281 2345"),
        ("12349", "12349"),
        ("139****0501", "139****0501"),
        ("+97611312345", "+97611312345"),
    ],
)
def test_telephone_numbers_are_written_as_they_are_read_out(number: str, written: str) -> None:
    assert phone_text(number) == written


def test_each_severity_has_its_own_word_and_shape() -> None:
    marks = [severity_mark(severity, ZH) for severity in Severity]
    assert [mark.word for mark in marks] == ["紧急", "重要", "一般", "技术"]
    assert len({mark.shape for mark in marks}) == 4
    with pytest.raises(ValueError, match="loud"):
        severity_mark("loud", ZH)


@pytest.mark.parametrize(
    ("group", "codes"),
    [
        ("alarm_kind", AlarmKind),
        ("severity", Severity),
        ("role", Role),
        ("sex", Sex),
        ("living_situation", LivingSituation),
        ("relation", Relation),
        ("consent_purpose", ConsentPurpose),
        ("device_type", DeviceType),
        ("device_status", DeviceState),
        ("incident_status", Status),
        ("resolution", Resolution),
    ],
)
def test_every_value_of_an_enumeration_has_a_label(group: str, codes: Any) -> None:
    assert set(words.GROUPS[group]) == {code.value for code in codes}


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert words.word("brand_new", "alarm_kind", ZH) == "brand_new"
    with pytest.raises(KeyError):
        words.word("sos", "no_such_group", ZH)


def test_chinese_labels_of_a_group_are_not_mixed_up_in_english() -> None:
    for group, labels in words.GROUPS.items():
        shown = [words.word(code, group, EN) for code in labels]
        if len(set(labels.values())) == len(labels):
            assert len(set(shown)) == len(shown), group
