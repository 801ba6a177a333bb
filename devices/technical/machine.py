"""The life of a technical alarm as one table: (state, action) → state, after ISA-18.2.

A condition that is over clears its alarm whatever state it is in; what is raised again after that
is a new alarm. Shelving is for a known fault that waits for a part: it comes back by its time.
"""

from enum import StrEnum

from devices.technical.model import TechnicalState
from kernel.errors import Conflict


class TechnicalAction(StrEnum):
    """What people do; `RETURN` is done by the clock too."""

    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    RETURN = "return"
    CLEAR = "clear"


S, A = TechnicalState, TechnicalAction
TRANSITIONS: dict[tuple[TechnicalState, TechnicalAction], TechnicalState] = {
    (S.ACTIVE, A.ACKNOWLEDGE): S.ACKNOWLEDGED,
    (S.ACTIVE, A.SHELVE): S.SHELVED,
    (S.ACKNOWLEDGED, A.SHELVE): S.SHELVED,
    # Back in sight: whoever had seen it has to see it again.
    (S.SHELVED, A.RETURN): S.ACTIVE,
    # By hand, for what no device takes back by itself: a housing that was opened.
    (S.ACTIVE, A.CLEAR): S.CLEARED,
    (S.ACKNOWLEDGED, A.CLEAR): S.CLEARED,
    (S.SHELVED, A.CLEAR): S.CLEARED,
}


def next_state(state: TechnicalState, action: TechnicalAction) -> TechnicalState:
    """Return the state after the action. Raises Conflict when the table has no such step."""
    found = TRANSITIONS.get((state, action))
    if found is None:
        raise Conflict(
            f"A technical alarm that is {state} cannot be changed by {action}.",
            state=state.value,
            action=action.value,
        )
    return found


def possible(state: TechnicalState) -> list[TechnicalAction]:
    """Return the actions that the state allows, in the order of the table."""
    return [action for (source, action) in TRANSITIONS if source is state]
