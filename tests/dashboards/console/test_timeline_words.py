"""Every line of a timeline and every guided question has words in both languages."""

import re

import pytest

from dashboards.console.timeline import sentence
from dashboards.ui.i18n import Translator, translator
from dashboards.ui.words import GROUPS
from devices.alarms import AlarmKind
from hotline.contacts.model import AttemptStatus, Key, Purpose
from hotline.dispatch.machine import TRANSITIONS as DISPATCH_STEPS
from hotline.incidents import guidance, machine, timeline
from hotline.incidents.model import Event
from kernel.clock import utcnow
from kernel.ids import new_id

CHINESE = re.compile(r"[一-鿿]")


def line(kind: str, **data: object) -> Event:
    return Event(new_id(), 1, utcnow(), None, "x", kind, data)


def test_everything_has_an_english_translation() -> None:
    english = translator("en")
    questions = [text for many in guidance.QUESTIONS.values() for text in many]
    missing = [
        text for text in (*timeline.sentences(), *questions) if english.gettext(text) == text
    ]
    assert missing == []


@pytest.mark.parametrize("kind", AlarmKind)
def test_every_kind_has_guided_questions(kind: AlarmKind) -> None:
    assert len(guidance.QUESTIONS[kind]) >= 2


def test_every_kind_of_event_that_moves_something_has_a_sentence() -> None:
    kinds = set(machine.MOVES) | {f"dispatch.{goal}" for goal in DISPATCH_STEPS.values()}
    for kind in kinds:
        assert timeline.describe(line(kind)).text != timeline.UNKNOWN, kind


def test_every_code_that_a_sentence_uses_has_a_word() -> None:
    assert set(GROUPS["contact_purpose"]) == set(Purpose)
    assert set(GROUPS["attempt_status"]) == set(AttemptStatus)
    assert set(GROUPS["phone_key"]) == set(Key)


@pytest.mark.parametrize(
    ("event", "chinese", "english"),
    [
        (
            line("contact.called", purpose="elder", to="任俊英"),
            "呼叫老人 任俊英",
            "Called elder 任俊英",
        ),
        (
            line("contact.ended", purpose="duty", to="值班长", status="no_answer"),
            "值班电话 值班长：无人接听",
            "值班长 (duty phone): no answer",
        ),
        (
            line("incident.repeated", alarm="fall", count=3),
            "跌倒再次触发，第 3 次",
            "Fall fired again, activation 3",
        ),
        (
            line("incident.escalated", reason="unacknowledged", notify="duty_phone", seconds=60),
            "已等待 60 秒无人接警，呼叫值班电话",
            "Unclaimed for 60 s: duty phone called",
        ),
        (
            line("contact.pressed", to="Li", key="2"),
            "Li 按键 2（已出发）",
            "Li pressed 2 (on the way)",
        ),
        (line("something.new"), "something.new", "something.new"),
        (line("incident.escalated", reason="later"), "incident.escalated", "incident.escalated"),
    ],
)
def test_sentences_are_filled_in(event: Event, chinese: str, english: str) -> None:
    assert sentence(event, Translator("zh-CN")) == chinese
    assert sentence(event, translator("en")) == english


def test_an_english_sentence_has_no_chinese_left() -> None:
    for kind in (*machine.MOVES, "condition.cleared", "contact.ended", "dispatch.note"):
        data = {"resolution": "founded", "purpose": "chain", "status": "busy", "alarm": "sos"}
        assert not CHINESE.search(sentence(line(kind, **data), translator("en"))), kind
