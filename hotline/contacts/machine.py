"""The progress of a call or a text as one table.

A carrier reports late, twice and out of order: what is not in the table changes nothing.
"""

from hotline.contacts.model import AttemptStatus as S

_CALL_ENDS = frozenset({S.COMPLETED, S.NO_ANSWER, S.BUSY, S.FAILED})
TRANSITIONS: dict[S, frozenset[S]] = {
    S.QUEUED: frozenset({S.RINGING, S.IN_PROGRESS, S.SENT, S.DELIVERED}) | _CALL_ENDS,
    S.RINGING: frozenset({S.IN_PROGRESS}) | _CALL_ENDS,
    S.IN_PROGRESS: frozenset({S.COMPLETED, S.FAILED}),
    S.SENT: frozenset({S.DELIVERED, S.FAILED}),
}
FINAL = frozenset({S.DELIVERED, S.COMPLETED, S.NO_ANSWER, S.BUSY, S.FAILED})
# Not reached: the next contact is called.
UNREACHED = frozenset({S.NO_ANSWER, S.BUSY, S.FAILED})


def follows(old: S, new: S) -> bool:
    """True when the report is news."""
    return new in TRANSITIONS.get(old, frozenset())
