"""Policies as data: defaults, JSON and back, windows of the day."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.alarms import Severity
from hotline.escalation import rules
from hotline.incidents.model import Status
from kernel.errors import Invalid

NOON = datetime(2026, 3, 5, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize("severity", Severity)
def test_a_default_survives_its_json(severity: Severity) -> None:
    policy = rules.DEFAULTS[severity]
    assert rules.parse_policy(policy.dump()) == policy


def test_the_defaults_are_what_the_house_promises() -> None:
    critical, major = rules.DEFAULTS[Severity.CRITICAL], rules.DEFAULTS[Severity.MAJOR]
    assert [(s.after_s, s.notify.value) for s in critical.steps] == [
        (30, "everyone"), (60, "duty_phone"),
    ]  # fmt: skip
    assert [(s.after_s, s.notify.value) for s in major.steps] == [
        (120, "everyone"), (300, "duty_phone"),
    ]  # fmt: skip
    assert critical.limits[Status.DISPATCHED] == 45 * 60
    assert not rules.DEFAULTS[Severity.MINOR].steps
    assert not rules.DEFAULTS[Severity.TECHNICAL].steps


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"steps": [{"after_s": "soon", "notify": "everyone"}]},
        {"steps": [{"after_s": 30, "notify": "the king"}]},
        {"steps": [{"after_s": 30, "notify": "everyone", "window": "morning"}]},
        {"steps": [], "limits": {"asleep": 3}},
        {"steps": 3},
        {"steps": [None]},
    ],
)
def test_what_is_no_policy_is_refused(spoilt: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        rules.parse_policy(spoilt)


def test_a_step_is_repeated_five_times_at_most() -> None:
    step = {"after_s": 1, "notify": "everyone", "repeat": 99, "every_s": 0}
    parsed = rules.parse_policy({"steps": [step]}).steps[0]
    assert (parsed.repeat, parsed.every_s) == (5, 10)


@pytest.mark.parametrize(
    ("window", "hour", "inside"),
    [
        ("", 3, True),
        ("08:00-20:00", 8, True),
        ("08:00-20:00", 20, False),
        ("08:00-20:00", 7, False),
        ("20:00-08:00", 23, True),
        ("20:00-08:00", 7, True),
        ("20:00-08:00", 12, False),
    ],
)
def test_windows_are_local_and_may_go_over_midnight(window: str, hour: int, inside: bool) -> None:
    step = rules.Step(1, rules.Notify.EVERYONE, window=window)
    assert rules.in_window(step, NOON + timedelta(hours=hour - 12)) is inside


def test_a_claim_gets_stale_after_the_policys_time() -> None:
    policy = rules.Policy(stale_claim_s=300)
    assert not rules.claim_is_stale(policy, None, NOON)
    assert not rules.claim_is_stale(policy, NOON, NOON + timedelta(seconds=300))
    assert rules.claim_is_stale(policy, NOON, NOON + timedelta(seconds=301))
