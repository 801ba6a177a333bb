"""The lifecycle of a dispatch as one table.

A step may be skipped where a person in a hurry skips it: who has accepted and stands in the flat
has arrived, whether "on my way" was tapped or not.
"""

from hotline.dispatch.model import DispatchAction as A
from hotline.dispatch.model import DispatchStatus as S
from hotline.incidents.model import Action

TRANSITIONS: dict[tuple[S, A], S] = {
    (S.NOTIFIED, A.ACCEPT): S.ACCEPTED,
    (S.NOTIFIED, A.DEPART): S.EN_ROUTE,  # key 2 on the phone: "on my way"
    (S.NOTIFIED, A.DECLINE): S.DECLINED,
    (S.NOTIFIED, A.WITHDRAW): S.WITHDRAWN,
    (S.ACCEPTED, A.DEPART): S.EN_ROUTE,
    (S.ACCEPTED, A.ARRIVE): S.ON_SCENE,
    (S.ACCEPTED, A.DECLINE): S.DECLINED,
    (S.ACCEPTED, A.WITHDRAW): S.WITHDRAWN,
    (S.EN_ROUTE, A.ARRIVE): S.ON_SCENE,
    (S.EN_ROUTE, A.DECLINE): S.DECLINED,
    (S.EN_ROUTE, A.WITHDRAW): S.WITHDRAWN,
    (S.ON_SCENE, A.COMPLETE): S.COMPLETED,
    (S.ON_SCENE, A.WITHDRAW): S.WITHDRAWN,
}
FINAL = frozenset({S.COMPLETED, S.DECLINED, S.WITHDRAWN})
# Where the responder still has to go; when the incident is resolved these are withdrawn.
NOT_THERE_YET = frozenset({S.NOTIFIED, S.ACCEPTED, S.EN_ROUTE})
# What each step means for the incident; the others leave it where it is.
MOVES_INCIDENT: dict[A, Action] = {A.ARRIVE: Action.ARRIVE}
# The responder's big button: the next step in order.
NEXT: dict[S, A] = {
    S.NOTIFIED: A.ACCEPT,
    S.ACCEPTED: A.DEPART,
    S.EN_ROUTE: A.ARRIVE,
    S.ON_SCENE: A.COMPLETE,
}
ORDER: tuple[A, ...] = (A.ACCEPT, A.DEPART, A.ARRIVE, A.COMPLETE)
_REACHED: dict[A, S] = {
    A.ACCEPT: S.ACCEPTED,
    A.DEPART: S.EN_ROUTE,
    A.ARRIVE: S.ON_SCENE,
    A.COMPLETE: S.COMPLETED,
    A.DECLINE: S.DECLINED,
    A.WITHDRAW: S.WITHDRAWN,
}
_WAY = (S.NOTIFIED, S.ACCEPTED, S.EN_ROUTE, S.ON_SCENE, S.COMPLETED)


def target(status: S, action: A) -> S | None:
    """Return where the action leads, None where it is not possible."""
    return TRANSITIONS.get((status, action))


def already_done(status: S, action: A) -> bool:
    """True when the action's effect is there: a second tap, or a retry after a lost answer."""
    goal = _REACHED[action]
    if status is goal:
        return True
    return status in _WAY and goal in _WAY and _WAY.index(status) > _WAY.index(goal)
