"""The progress of calls and texts: every pair of old and new."""

import pytest

from hotline.contacts import machine
from hotline.contacts.model import AttemptStatus as S

ENDS = {S.COMPLETED, S.NO_ANSWER, S.BUSY, S.FAILED}
ALLOWED = {
    S.QUEUED: {S.RINGING, S.IN_PROGRESS, S.SENT, S.DELIVERED} | ENDS,
    S.RINGING: {S.IN_PROGRESS} | ENDS,
    S.IN_PROGRESS: {S.COMPLETED, S.FAILED},
    S.SENT: {S.DELIVERED, S.FAILED},
}


@pytest.mark.parametrize("old", S)
@pytest.mark.parametrize("new", S)
def test_every_pair(old: S, new: S) -> None:
    assert machine.follows(old, new) is (new in ALLOWED.get(old, set()))


def test_what_is_final_stays() -> None:
    assert {status for status in S if not ALLOWED.get(status)} == machine.FINAL
