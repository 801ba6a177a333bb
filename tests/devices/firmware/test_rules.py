"""When a roll-out goes on, takes the next step, ends; what a package and its steps may be."""

import io
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from devices.firmware import machine, rules
from devices.firmware.machine import RolloutAction, UpdateEvent
from devices.firmware.model import Progress, Rollout, RolloutState, UpdateState
from devices.firmware.rules import Verdict
from devices.firmware.shelf import Shelf
from kernel.errors import Conflict, Invalid, NotFound

NOBODY = Progress(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def rollout(now: datetime, **more: Any) -> Rollout:
    made = Rollout(
        id=uuid.uuid4(), package_id=uuid.uuid4(), profile="sl-watch-1", package_version="1.5.0",
        sha256="0" * 64, size=1, division="", canaries=["W-1"], steps=[10, 100], step=1,
        step_since=now, soak_minutes=60, failure_percent=20, state=RolloutState.RUNNING, reason="",
        created_at=now, created_by=None, ended_at=None, version=1,
    )  # fmt: skip
    return replace(made, **more)


@pytest.mark.parametrize(
    ("said", "minutes", "step", "verdict"),
    [
        ({"pending": 9, "pending_online": 9}, 0, 1, Verdict.GO_ON),
        ({"downloading": 1, "step_installed": 9}, 99, 1, Verdict.GO_ON),
        # Everybody whom we hear has it, but its time has not passed.
        ({"step_installed": 9, "pending": 3}, 59, 1, Verdict.GO_ON),
        ({"step_installed": 9, "pending": 3}, 60, 1, Verdict.NEXT_STEP),
        # All of it are away: the many must not try it before the few.
        ({"pending": 3}, 999, 1, Verdict.GO_ON),
        # Nobody is of it: there is nothing to watch.
        ({}, 0, 1, Verdict.NEXT_STEP),
        ({"installed": 4}, 0, 1, Verdict.NEXT_STEP),
        # One failure is its own fault; two of four are not. Two of ten are within the limit.
        ({"step_installed": 1, "step_failed": 1, "pending_online": 5}, 0, 1, Verdict.GO_ON),
        ({"step_installed": 2, "step_failed": 2, "pending_online": 5}, 0, 1, Verdict.ABORT),
        ({"step_installed": 8, "step_failed": 2, "pending_online": 5}, 0, 1, Verdict.GO_ON),
        # The only canary has failed: the many must not follow it.
        ({"step_failed": 1, "pending_online": 5}, 99, 0, Verdict.GO_ON),
        ({"step_failed": 1}, 59, 0, Verdict.GO_ON),
        ({"step_failed": 1}, 60, 0, Verdict.ABORT),
        ({"step_failed": 1, "step_installed": 4}, 60, 0, Verdict.NEXT_STEP),
        # The last step goes on until those who are away have come back.
        ({"step_installed": 90, "pending": 10}, 999, 2, Verdict.GO_ON),
        ({"step_installed": 100}, 0, 2, Verdict.COMPLETE),
    ],
)
def test_what_is_to_become_of_a_rollout(
    said: dict[str, int], minutes: int, step: int, verdict: Verdict, now: datetime
) -> None:
    made = rollout(now, step=step)
    assert rules.judge(made, replace(NOBODY, **said), now + timedelta(minutes=minutes)) is verdict


def test_canaries_are_a_step_before_the_others(now: datetime) -> None:
    shares = [rollout(now, step=step).percent for step in range(3)]
    assert shares == [0, 10, 100]
    assert rollout(now).last_step == 2
    without = rollout(now, canaries=[], step=0)
    assert (without.percent, without.last_step) == (10, 1)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1, 10, 100", [1, 10, 100]), ("10% → 100%", [10, 100]), ("5，50，100", [5, 50, 100]),
        ("100", [100]), ("", None), ("10, 50", None), ("50, 10, 100", None), ("0, 100", None),
        ("10, 10, 100", None), ("1 2 3 4 5 6 7 8 9 10 100", None), ("ten, 100", None),
    ],
)  # fmt: skip
def test_steps_rise_to_everybody(text: str, steps: list[int] | None) -> None:
    assert rules.parse_steps(text) == steps


def test_a_package_is_for_a_model_of_ours_with_a_version() -> None:
    assert rules.wrong_package("sl-watch-1", "1.5.0-rc.1+7", 10, "") == {}
    assert rules.wrong_package("setracker-4g", " 1", 0, "x" * 1001) == {
        "profile": "unknown", "version": "form", "file": "required", "notes": "too_long",
    }  # fmt: skip


def test_every_step_of_the_tables_and_no_other_can_be_taken() -> None:
    for state, action in product(RolloutState, RolloutAction):
        if (state, action) in machine.ROLLOUT:
            assert machine.next_rollout(state, action) is not state
        else:
            with pytest.raises(Conflict):
                machine.next_rollout(state, action)
    assert machine.possible(RolloutState.RUNNING) == [RolloutAction.PAUSE, RolloutAction.ABORT]
    for one, event in product(UpdateState, UpdateEvent):
        following = machine.next_update(one, event)
        assert (following is None) is ((one, event) not in machine.UPDATE)
    assert machine.next_update(UpdateState.INSTALLED, UpdateEvent.FAILED) is None


def test_a_file_on_the_shelf_is_whole_bounded_and_named_by_its_checksum(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "firmware")
    stored = shelf.put(io.BytesIO(b"abc"))
    assert stored.sha256.startswith("ba7816bf")
    assert stored.size == 3
    assert b"".join(shelf.chunks(shelf.open(stored.sha256))) == b"abc"
    for content, code in ((b"", "required"), (b"x" * 11, "too_large")):
        with pytest.raises(Invalid) as refused:
            shelf.put(io.BytesIO(content), largest=10)
        assert refused.value.fields == {"file": code}
    for name in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(NotFound):
            shelf.open(name)
    assert [path.name for path in (tmp_path / "firmware").iterdir()] == [f"{stored.sha256}.bin"]
