"""The life of a device as one table: (state, action) → state."""

from enum import StrEnum

from devices.registry.model import DeviceState
from kernel.errors import Conflict


class DeviceAction(StrEnum):
    """What can be done with a device."""

    BIND = "bind"
    UNBIND = "unbind"
    MARK_FAULTY = "mark_faulty"
    REPAIR = "repair"
    RETIRE = "retire"


S, A = DeviceState, DeviceAction
TRANSITIONS: dict[tuple[DeviceState, DeviceAction], DeviceState] = {
    (S.STOCK, A.BIND): S.BOUND,
    (S.BOUND, A.UNBIND): S.STOCK,
    # A watch goes from one elder to another in one step; the old binding ends.
    (S.BOUND, A.BIND): S.BOUND,
    (S.STOCK, A.MARK_FAULTY): S.FAULTY,
    (S.BOUND, A.MARK_FAULTY): S.FAULTY,
    (S.FAULTY, A.REPAIR): S.STOCK,
    (S.STOCK, A.RETIRE): S.RETIRED,
    (S.BOUND, A.RETIRE): S.RETIRED,
    (S.FAULTY, A.RETIRE): S.RETIRED,
}
# Whoever leaves service leaves the elder too.
ENDS_BINDING = frozenset({A.UNBIND, A.MARK_FAULTY, A.RETIRE})


def next_state(state: DeviceState, action: DeviceAction) -> DeviceState:
    """Return the state after the action. Raises Conflict when the table has no such step."""
    found = TRANSITIONS.get((state, action))
    if found is None:
        raise Conflict(
            f"A device that is {state} cannot be changed by {action}.", state=state, action=action
        )
    return found


def possible(state: DeviceState) -> list[DeviceAction]:
    """Return the actions that the state allows, in the order of the table."""
    return [action for (from_state, action) in TRANSITIONS if from_state is state]
