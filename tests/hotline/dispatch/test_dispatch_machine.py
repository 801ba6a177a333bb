"""The dispatch's table: every pair of state and action."""

import pytest

from hotline.dispatch import machine
from hotline.dispatch.model import DispatchAction as A
from hotline.dispatch.model import DispatchStatus as S

ALLOWED = {
    S.NOTIFIED: {
        A.ACCEPT: S.ACCEPTED, A.DEPART: S.EN_ROUTE, A.DECLINE: S.DECLINED, A.WITHDRAW: S.WITHDRAWN,
    },
    S.ACCEPTED: {
        A.DEPART: S.EN_ROUTE, A.ARRIVE: S.ON_SCENE, A.DECLINE: S.DECLINED, A.WITHDRAW: S.WITHDRAWN,
    },
    S.EN_ROUTE: {A.ARRIVE: S.ON_SCENE, A.DECLINE: S.DECLINED, A.WITHDRAW: S.WITHDRAWN},
    S.ON_SCENE: {A.COMPLETE: S.COMPLETED, A.WITHDRAW: S.WITHDRAWN},
}  # fmt: skip


@pytest.mark.parametrize("status", S)
@pytest.mark.parametrize("action", A)
def test_every_pair_of_state_and_action(status: S, action: A) -> None:
    assert machine.target(status, action) is ALLOWED.get(status, {}).get(action)


def test_the_big_button_follows_the_order_of_the_page() -> None:
    walked, status = [], S.NOTIFIED
    while status in machine.NEXT:
        action = machine.NEXT[status]
        walked.append(action)
        found = machine.target(status, action)
        assert found
        status = found
    assert tuple(walked) == machine.ORDER
    assert status is S.COMPLETED


@pytest.mark.parametrize(
    ("status", "action", "done"),
    [
        (S.ACCEPTED, A.ACCEPT, True),
        (S.ON_SCENE, A.DEPART, True),
        (S.NOTIFIED, A.ACCEPT, False),
        (S.COMPLETED, A.DECLINE, False),
        (S.WITHDRAWN, A.ACCEPT, False),
        (S.DECLINED, A.DECLINE, True),
    ],
)
def test_a_second_tap_is_known(status: S, action: A, done: bool) -> None:
    assert machine.already_done(status, action) is done
