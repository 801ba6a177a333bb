"""The life of a command as one table: (state, event) → state."""

from enum import StrEnum

from devices.commands.model import CommandState


class CommandEvent(StrEnum):
    """What happens to a command."""

    SEND = "send"
    ACCEPT = "accept"
    REFUSE = "refuse"
    EXPIRE = "expire"


S, E = CommandState, CommandEvent
TRANSITIONS: dict[tuple[CommandState, CommandEvent], CommandState] = {
    (S.QUEUED, E.SEND): S.SENT,
    # A device that was away gets it again when it is back.
    (S.SENT, E.SEND): S.SENT,
    # The answer may be faster than our note that it was sent.
    (S.QUEUED, E.ACCEPT): S.ACKNOWLEDGED,
    (S.SENT, E.ACCEPT): S.ACKNOWLEDGED,
    # Done in time by a device whose answer waited for a connection.
    (S.EXPIRED, E.ACCEPT): S.ACKNOWLEDGED,
    (S.QUEUED, E.REFUSE): S.REFUSED,
    (S.SENT, E.REFUSE): S.REFUSED,
    (S.QUEUED, E.EXPIRE): S.EXPIRED,
    (S.SENT, E.EXPIRE): S.EXPIRED,
}


def next_state(state: CommandState, event: CommandEvent) -> CommandState | None:
    """Return the state after the event, None where the event changes nothing any more."""
    return TRANSITIONS.get((state, event))
