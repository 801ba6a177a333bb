"""What a package and a roll-out may be, and when a roll-out goes on or ends by itself. Pure.

Problems with what was entered are codes (`Invalid.fields`: field → code).
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from devices.firmware.model import Progress, Rollout
from devices.profiles import PROFILES
from devices.profiles.model import Capability

LARGEST_PACKAGE = 64 * 1024 * 1024
"""Bytes; a watch has 16 MiB of flash, a gateway some more."""
LONGEST_NOTES = 1_000
MOST_CANARIES = 50
LONGEST_SOAK = 7 * 24 * 60
"""Minutes."""
TOKEN_LIFE = timedelta(hours=24)
TOKEN_USES = 5
"""A download that breaks off may be begun again; what was sent whole is over."""
NO_ANSWER = timedelta(hours=2)
"""A device that has it and says nothing for so long has failed; one that went before it began is
asked again when it is back."""
AT_ONCE = 200
"""So many devices at most are at it at once: their downloads share the line."""
FEWEST_FAILURES = 2
"""One device alone ends no roll-out: it may be its own fault."""
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")


class Verdict(StrEnum):
    """What is to become of a roll-out now."""

    GO_ON = "go_on"
    NEXT_STEP = "next_step"
    COMPLETE = "complete"
    ABORT = "abort"


def updatable_profiles() -> list[str]:
    """Return the codes of models that speak our protocol and take commands."""
    return [
        code
        for code, model in PROFILES.items()
        if model.codec == "silverline_v1" and Capability.COMMANDS in model.capabilities
    ]


def wrong_package(profile: str, version: str, size: int, notes: str) -> dict[str, str]:
    """Return what is wrong with a package: code by field."""
    wrong: dict[str, str] = {}
    if profile not in updatable_profiles():
        wrong["profile"] = "unknown"
    if _VERSION.fullmatch(version) is None:
        wrong["version"] = "form"
    if size == 0:
        wrong["file"] = "required"
    elif size > LARGEST_PACKAGE:
        wrong["file"] = "too_large"
    if len(notes) > LONGEST_NOTES:
        wrong["notes"] = "too_long"
    return wrong


def parse_steps(text: str) -> list[int] | None:
    """Return the shares of a text such as `1, 10, 100`; None unless they rise to 100."""
    parts = re.split(r"[\s,，、→%]+", text.strip(" %"))
    if not 1 <= len(parts) <= 10 or not all(re.fullmatch(r"[0-9]{1,3}", part) for part in parts):
        return None
    steps = [int(part) for part in parts]
    rises = all(low < high for low, high in pairwise(steps))
    return steps if rises and steps[0] >= 1 and steps[-1] == 100 else None


def wrong_rollout(
    steps: list[int] | None, canaries: Sequence[str], soak_minutes: int, failure_percent: int
) -> dict[str, str]:
    """Return what is wrong with a roll-out: code by field."""
    wrong: dict[str, str] = {}
    if steps is None:
        wrong["steps"] = "form"
    if len(canaries) > MOST_CANARIES:
        wrong["canaries"] = "too_many"
    if not 0 <= soak_minutes <= LONGEST_SOAK:
        wrong["soak_minutes"] = "range"
    if not 1 <= failure_percent <= 100:
        wrong["failure_percent"] = "range"
    return wrong


def judge(rollout: Rollout, progress: Progress, now: datetime) -> Verdict:
    """Say what is to become of a roll-out that runs.

    It ends when more than its share of the step has failed. A step is over when nobody is at it,
    nobody that we hear is left to be asked, and its time has passed; devices that are away get it
    with the last step, which goes on until they all have come back or somebody ends it. A step in
    which nobody has made it leads to no other, and be it a single canary. A step without a device
    has nothing to watch and is over at once.
    """
    decided = progress.step_installed + progress.step_failed
    too_many = progress.step_failed * 100 > rollout.failure_percent * decided
    if progress.step_failed >= FEWEST_FAILURES and too_many:
        return Verdict.ABORT
    if progress.open or progress.pending_online:
        return Verdict.GO_ON
    if rollout.step >= rollout.last_step:
        return Verdict.COMPLETE if progress.pending == 0 else Verdict.GO_ON
    if decided == 0:
        # Where all of it are away, going on would ask the many before the few have tried it.
        return Verdict.GO_ON if progress.pending else Verdict.NEXT_STEP
    if now - rollout.step_since < timedelta(minutes=rollout.soak_minutes):
        return Verdict.GO_ON
    in_vain = progress.step_installed == 0 and rollout.failure_percent < 100
    return Verdict.ABORT if in_vain else Verdict.NEXT_STEP
