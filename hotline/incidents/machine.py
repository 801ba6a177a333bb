"""The lifecycle of an incident as one table, and who may do what.

A `resolve` needs a claim first: nobody closes what nobody has looked at. Escalation is louder, not
a state; activations ring again and move nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from hotline.incidents.model import Action as A
from hotline.incidents.model import Event
from hotline.incidents.model import Status as S
from kernel.auth.model import Permission
from kernel.errors import DomainError

TRANSITIONS: dict[tuple[S, A], S] = {
    (S.OPEN, A.ACKNOWLEDGE): S.ACKNOWLEDGED,
    (S.ACKNOWLEDGED, A.RELEASE): S.OPEN,
    (S.ACKNOWLEDGED, A.HAND_OVER): S.ACKNOWLEDGED,
    (S.DISPATCHED, A.HAND_OVER): S.DISPATCHED,
    (S.ON_SCENE, A.HAND_OVER): S.ON_SCENE,
    (S.ACKNOWLEDGED, A.DISPATCH): S.DISPATCHED,
    (S.DISPATCHED, A.DISPATCH): S.DISPATCHED,  # a second responder
    (S.ON_SCENE, A.DISPATCH): S.ON_SCENE,
    (S.DISPATCHED, A.STAND_DOWN): S.ACKNOWLEDGED,  # nobody is on the way any more
    (S.ACKNOWLEDGED, A.ARRIVE): S.ON_SCENE,  # family, neighbours or 120 are there
    (S.DISPATCHED, A.ARRIVE): S.ON_SCENE,
    (S.ACKNOWLEDGED, A.RESOLVE): S.RESOLVED,
    (S.DISPATCHED, A.RESOLVE): S.RESOLVED,
    (S.ON_SCENE, A.RESOLVE): S.RESOLVED,
    (S.RESOLVED, A.REOPEN): S.ACKNOWLEDGED,  # held by whoever reopens it
}


class Who(StrEnum):
    """Whose hands an action is for, besides the permission."""

    ANYONE = "anyone"
    HOLDER = "holder"  # or a supervisor


@dataclass(frozen=True, slots=True)
class Right:
    """Who may act: a permission, and whether one must hold the incident (supervisors need not)."""

    permission: Permission
    who: Who


RIGHTS: dict[A, Right] = {
    A.ACKNOWLEDGE: Right(Permission.INCIDENT_HANDLE, Who.ANYONE),
    A.RELEASE: Right(Permission.INCIDENT_HANDLE, Who.HOLDER),
    A.HAND_OVER: Right(Permission.INCIDENT_HANDLE, Who.HOLDER),
    A.DISPATCH: Right(Permission.INCIDENT_HANDLE, Who.HOLDER),
    A.STAND_DOWN: Right(Permission.INCIDENT_HANDLE, Who.HOLDER),
    A.ARRIVE: Right(Permission.INCIDENT_HANDLE, Who.HOLDER),
    A.RESOLVE: Right(Permission.INCIDENT_HANDLE, Who.HOLDER),
    A.REOPEN: Right(Permission.INCIDENT_HANDLE, Who.ANYONE),
}

# The kinds of timeline events that move an incident, and the action behind each.
MOVES: dict[str, A] = {
    "incident.acknowledged": A.ACKNOWLEDGE,
    "incident.released": A.RELEASE,
    "incident.handed_over": A.HAND_OVER,
    "incident.dispatched": A.DISPATCH,
    "incident.stood_down": A.STAND_DOWN,
    "incident.on_scene": A.ARRIVE,
    "incident.resolved": A.RESOLVE,
    "incident.reopened": A.REOPEN,
}
EVENT_OF: dict[A, str] = {action: kind for kind, action in MOVES.items()}


class TimelineBroken(DomainError):
    """The timeline does not lead to a state: a line is missing or was changed."""

    code = "timeline_broken"
    status = 500


def target(status: S, action: A) -> S | None:
    """Return where the action leads, None where it is not possible."""
    return TRANSITIONS.get((status, action))


def possible(status: S) -> list[A]:
    """Return the actions that lead somewhere from here, in the order of the table."""
    return [action for (source, action) in TRANSITIONS if source is status]


def replay(events: Iterable[Event]) -> tuple[S, int]:
    """Return status and version that the timeline leads to. Raises TimelineBroken."""
    status, version = S.OPEN, 0
    for event in events:
        if event.kind == "incident.opened":
            version = 1
            continue
        action = MOVES.get(event.kind)
        if action is None:
            continue
        goal = target(status, action)
        if goal is None or event.data["from"] != status or event.data["to"] != goal:
            raise TimelineBroken(f"{event.kind} does not follow {status}", seq=event.seq)
        if event.data["version"] != version + 1:
            raise TimelineBroken(f"{event.kind} is not version {version + 1}", seq=event.seq)
        status, version = goal, version + 1
    return status, version
