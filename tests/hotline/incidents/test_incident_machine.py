"""The lifecycle's table: every pair of state and action is either in it or refused."""

from datetime import UTC, datetime

import pytest

from hotline.incidents import machine
from hotline.incidents.model import Action, Event, Status
from kernel.ids import new_id

S, A = Status, Action
ALLOWED = {
    S.OPEN: {A.ACKNOWLEDGE: S.ACKNOWLEDGED},
    S.ACKNOWLEDGED: {
        A.RELEASE: S.OPEN,
        A.HAND_OVER: S.ACKNOWLEDGED,
        A.DISPATCH: S.DISPATCHED,
        A.ARRIVE: S.ON_SCENE,
        A.RESOLVE: S.RESOLVED,
    },
    S.DISPATCHED: {
        A.HAND_OVER: S.DISPATCHED,
        A.DISPATCH: S.DISPATCHED,
        A.STAND_DOWN: S.ACKNOWLEDGED,
        A.ARRIVE: S.ON_SCENE,
        A.RESOLVE: S.RESOLVED,
    },
    S.ON_SCENE: {
        A.HAND_OVER: S.ON_SCENE,
        A.DISPATCH: S.ON_SCENE,
        A.RESOLVE: S.RESOLVED,
    },
    S.RESOLVED: {A.REOPEN: S.ACKNOWLEDGED},
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("action", Action)
def test_every_pair_of_state_and_action(status: Status, action: Action) -> None:
    assert machine.target(status, action) is ALLOWED[status].get(action)


def test_an_incident_is_never_resolved_without_a_claim() -> None:
    assert machine.target(S.OPEN, A.RESOLVE) is None


def test_every_action_has_a_right_and_a_line_of_the_timeline() -> None:
    assert set(machine.RIGHTS) == set(Action) == set(machine.EVENT_OF)


def _event(kind: str, **data: object) -> Event:
    return Event(new_id(), 1, datetime(2026, 1, 1, tzinfo=UTC), None, "系统", kind, data)


def test_a_timeline_replays_to_its_state() -> None:
    events = [
        _event("incident.opened", to="open", version=1),
        _event("incident.repeated", count=2),
        _event("incident.acknowledged", **{"from": "open", "to": "acknowledged", "version": 2}),
        _event("incident.resolved", **{"from": "acknowledged", "to": "resolved", "version": 3}),
    ]
    assert machine.replay(events) == (S.RESOLVED, 3)


@pytest.mark.parametrize(
    "broken",
    [
        {"from": "acknowledged", "to": "resolved", "version": 2},  # the claim is missing
        {"from": "open", "to": "resolved", "version": 2},
    ],
)
def test_a_timeline_with_a_hole_is_noticed(broken: dict[str, object]) -> None:
    events = [
        _event("incident.opened", to="open", version=1),
        _event("incident.resolved", **broken),
    ]
    with pytest.raises(machine.TimelineBroken):
        machine.replay(events)
