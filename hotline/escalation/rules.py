"""Pure decisions about escalation: who is told when nobody acts, and what is too long.

A policy is copied onto the incident when it opens, so that a change of the settings never alters
what a running incident was promised. Its JSON form is `Policy.dump()`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from devices.alarms import Severity
from hotline.incidents.model import Status
from kernel.errors import Invalid

LOCAL = ZoneInfo("Asia/Shanghai")
MAX_REPEAT = 5
MAX_LEVEL = 9


class Notify(StrEnum):
    """Who is told: everybody on the console (louder), or the duty phone by call and text."""

    EVERYONE = "everyone"
    DUTY_PHONE = "duty_phone"


@dataclass(frozen=True, slots=True)
class Step:
    """`after_s` seconds after the incident is open to claim, tell `notify`.

    Said again every `every_s` seconds, `repeat` times (at most 5). `window` limits the step to a
    time of day in Asia/Shanghai, written 08:00-20:00; it may go over midnight.
    """

    after_s: int
    notify: Notify
    repeat: int = 0
    every_s: int = 60
    window: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens when nobody acts.

    `limits` are seconds that an incident may stand in a status before everybody is warned;
    `answer_s` is how long a responder has to accept; `stale_claim_s` is the age of a claim from
    which a further activation is louder.
    """

    steps: tuple[Step, ...] = ()
    limits: Mapping[Status, int] = field(default_factory=dict)
    answer_s: int = 120
    stale_claim_s: int = 300

    def dump(self) -> dict[str, Any]:
        """Return the policy as JSON."""
        return {
            "steps": [
                {
                    "after_s": s.after_s,
                    "notify": s.notify.value,
                    "repeat": s.repeat,
                    "every_s": s.every_s,
                    "window": s.window,
                }
                for s in self.steps
            ],
            "limits": {status.value: seconds for status, seconds in self.limits.items()},
            "answer_s": self.answer_s,
            "stale_claim_s": self.stale_claim_s,
        }


# Telecare practice: 97.5 % of alarms answered within 60 s, all over 3 min looked into, on site
# within 45 min for 90 %. Sitting at a critical incident for 3 min without sending anybody is long.
_LIMITS = {Status.ACKNOWLEDGED: 180, Status.DISPATCHED: 2700, Status.ON_SCENE: 3600}
DEFAULTS: dict[Severity, Policy] = {
    Severity.CRITICAL: Policy(
        steps=(
            Step(30, Notify.EVERYONE, repeat=5, every_s=60),
            Step(60, Notify.DUTY_PHONE, repeat=4, every_s=120),
        ),
        limits=_LIMITS,
    ),
    Severity.MAJOR: Policy(
        steps=(Step(120, Notify.EVERYONE, repeat=2, every_s=300), Step(300, Notify.DUTY_PHONE)),
        limits={Status.ACKNOWLEDGED: 900, Status.DISPATCHED: 2700, Status.ON_SCENE: 5400},
        answer_s=180,
        stale_claim_s=600,
    ),
    Severity.MINOR: Policy(answer_s=600, stale_claim_s=3600),
    Severity.TECHNICAL: Policy(answer_s=3600, stale_claim_s=86400),
}


def parse_policy(value: Mapping[str, Any]) -> Policy:
    """Read a policy's JSON. Raises Invalid when it is none of ours."""
    try:
        steps = tuple(
            Step(
                int(s["after_s"]),
                Notify(s["notify"]),
                min(MAX_REPEAT, max(0, int(s.get("repeat", 0)))),
                max(10, int(s.get("every_s", 60))),
                str(s.get("window", "")),
            )
            for s in value["steps"]
        )
        for step in steps:
            in_window(step, datetime(2026, 1, 1, tzinfo=LOCAL))
        return Policy(
            steps=steps,
            limits={Status(name): int(limit) for name, limit in value.get("limits", {}).items()},
            answer_s=int(value.get("answer_s", 120)),
            stale_claim_s=int(value.get("stale_claim_s", 300)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid("this is not an escalation policy", {"policy": str(error)}) from error


def in_window(step: Step, now: datetime) -> bool:
    """True when the step may speak at this time of day. Raises ValueError for a bad window."""
    if not step.window:
        return True
    first, _, last = step.window.partition("-")
    begin, end = time.fromisoformat(first), time.fromisoformat(last)
    moment = now.astimezone(LOCAL).time()
    if begin <= end:
        return begin <= moment < end
    return moment >= begin or moment < end


def claim_is_stale(policy: Policy, acknowledged_at: datetime | None, now: datetime) -> bool:
    """True when somebody claimed so long ago that a further activation must be louder."""
    if acknowledged_at is None:
        return False
    return now - acknowledged_at > timedelta(seconds=policy.stale_claim_s)
