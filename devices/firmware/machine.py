"""The lives of a roll-out and of one device in it, each as a table: (state, event) → state."""

from enum import StrEnum

from devices.firmware.model import RolloutState, UpdateState
from kernel.errors import Conflict


class RolloutAction(StrEnum):
    """What happens to a roll-out: the first three by people, abort and complete by itself too."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    COMPLETE = "complete"


class UpdateEvent(StrEnum):
    """What happens to one device's update."""

    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLED = "installed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"


R, U, A, E = RolloutState, UpdateState, RolloutAction, UpdateEvent
ROLLOUT: dict[tuple[RolloutState, RolloutAction], RolloutState] = {
    (R.RUNNING, A.PAUSE): R.PAUSED,
    (R.PAUSED, A.RESUME): R.RUNNING,
    (R.RUNNING, A.ABORT): R.ABORTED,
    (R.PAUSED, A.ABORT): R.ABORTED,
    (R.RUNNING, A.COMPLETE): R.COMPLETED,
}
UPDATE: dict[tuple[UpdateState, UpdateEvent], UpdateState] = {
    (U.OFFERED, E.DOWNLOADING): U.DOWNLOADING,
    (U.DOWNLOADING, E.DOWNLOADING): U.DOWNLOADING,
    (U.OFFERED, E.DOWNLOADED): U.DOWNLOADED,
    (U.DOWNLOADING, E.DOWNLOADED): U.DOWNLOADED,
    # The version in its status is the proof, whatever was said before, also after a failure.
    (U.OFFERED, E.INSTALLED): U.INSTALLED,
    (U.DOWNLOADING, E.INSTALLED): U.INSTALLED,
    (U.DOWNLOADED, E.INSTALLED): U.INSTALLED,
    (U.FAILED, E.INSTALLED): U.INSTALLED,
    (U.WITHDRAWN, E.INSTALLED): U.INSTALLED,
    (U.OFFERED, E.FAILED): U.FAILED,
    (U.DOWNLOADING, E.FAILED): U.FAILED,
    (U.DOWNLOADED, E.FAILED): U.FAILED,
    # It says its old version again: it has taken itself back.
    (U.INSTALLED, E.ROLLED_BACK): U.FAILED,
    (U.OFFERED, E.WITHDRAWN): U.WITHDRAWN,
    (U.DOWNLOADING, E.WITHDRAWN): U.WITHDRAWN,
    (U.DOWNLOADED, E.WITHDRAWN): U.WITHDRAWN,
}


def next_rollout(state: RolloutState, action: RolloutAction) -> RolloutState:
    """Return the state after the action. Raises Conflict when the table has no such step."""
    found = ROLLOUT.get((state, action))
    if found is None:
        raise Conflict(
            f"A roll-out that is {state} cannot be changed by {action}.",
            state=state.value,
            action=action.value,
        )
    return found


def possible(state: RolloutState) -> list[RolloutAction]:
    """Return what people can do with a roll-out, in the order of the table."""
    return [
        action
        for (source, action) in ROLLOUT
        if source is state and action is not RolloutAction.COMPLETE
    ]


def next_update(state: UpdateState, event: UpdateEvent) -> UpdateState | None:
    """Return the state after the event, None where it changes nothing any more."""
    return UPDATE.get((state, event))
