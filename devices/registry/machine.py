"""The life of a device as one table: (state, action) → state."""

from collections.abc import Mapping
from enum import StrEnum

from devices.registry.model import DeviceState
from kernel.errors import Conflict, Invalid


class DeviceAction(StrEnum):
    """What can be done with a device."""

    BIND = "bind"
    UNBIND = "unbind"
    MARK_FAULTY = "mark_faulty"
    REPAIR = "repair"
    RETIRE = "retire"


S, A = DeviceState, DeviceAction
# Of the actions of a state the first one is its usual next step.
TRANSITIONS: dict[tuple[DeviceState, DeviceAction], DeviceState] = {
    (S.STOCK, A.BIND): S.BOUND,
    # A watch goes from one elder to another in one step; the old binding ends.
    (S.BOUND, A.BIND): S.BOUND,
    (S.BOUND, A.UNBIND): S.STOCK,
    (S.STOCK, A.MARK_FAULTY): S.FAULTY,
    (S.BOUND, A.MARK_FAULTY): S.FAULTY,
    (S.FAULTY, A.REPAIR): S.STOCK,
    (S.STOCK, A.RETIRE): S.RETIRED,
    (S.BOUND, A.RETIRE): S.RETIRED,
    (S.FAULTY, A.RETIRE): S.RETIRED,
}
# Whoever leaves service leaves the elder too.
ENDS_BINDING = frozenset({A.UNBIND, A.MARK_FAULTY, A.RETIRE})
# Why somebody does it. `other` wants a note; the code, never the note, goes to the audit log.
OTHER = "other"
REASONS: Mapping[DeviceAction, tuple[str, ...]] = {
    A.UNBIND: ("not_needed", "replaced", "moved_away", "deceased", "wrong_elder", OTHER),
    A.MARK_FAULTY: ("no_power", "no_signal", "damaged", "false_alarms", "wrong_readings", OTHER),
    A.REPAIR: ("part_replaced", "battery_replaced", "firmware_updated", "no_fault_found", OTHER),
    A.RETIRE: ("beyond_repair", "lost", "worn_out", "recalled", OTHER),
}


def next_state(state: DeviceState, action: DeviceAction) -> DeviceState:
    """Return the state after the action. Raises Conflict when the table has no such step."""
    found = TRANSITIONS.get((state, action))
    if found is None:
        raise Conflict(
            f"A device that is {state} cannot be changed by {action}.",
            state=state.value,
            action=action.value,
        )
    return found


def possible(state: DeviceState) -> list[DeviceAction]:
    """Return the actions that the state allows, in the order of the table."""
    return [action for (from_state, action) in TRANSITIONS if from_state is state]


def check_reason(action: DeviceAction, reason: str, note: str) -> None:
    """Raise Invalid unless the reason is one of the action's, with a note where it says `other`."""
    if reason not in REASONS[action]:
        raise Invalid("A reason is needed.", {"reason": "required"})
    if reason == OTHER and not note:
        raise Invalid("Say in a note what the other reason is.", {"note": "required"})
