"""Which announcement an incoming call answers. TS 50134-9: `crd` says where the call comes from."""

import re
from collections.abc import Sequence
from datetime import timedelta

from ingest.announced_calls.model import Announcement

WITHIN = timedelta(seconds=60)
"""How long after its alarm a device's voice call may come."""
_SAME_DIGITS = 8
_CALL_BACK = re.compile(r"(?:^|\s)crd=(\S*)")
_NOT_DIGIT = re.compile(r"\D")


def call_back_of(detail: str) -> str | None:
    """The call-back address in an alarm's detail; empty for a call without a number, None for no
    call."""
    match = _CALL_BACK.search(detail)
    if match is None:
        return None
    scheme, colon, address = match[1].partition(":")
    return address if colon else scheme


def chosen(announced: Sequence[Announcement], caller: str) -> tuple[Announcement, bool] | None:
    """The announcement that a call answers, and whether it named this caller; newest first.

    Numbers are the same when their last eight digits are: carriers write them with and without
    country and area. A call that was announced without a number is taken only where it is the one.
    """
    for each in announced:
        if _same(each.call_back, caller):
            return each, True
    unnamed = [each for each in announced if not each.call_back]
    return (unnamed[0], False) if len({each.device_no for each in unnamed}) == 1 else None


def _same(announced: str, caller: str) -> bool:
    if not announced or not caller:
        return False
    mine, theirs = announced.lower().removeprefix("sip:"), caller.lower().removeprefix("sip:")
    if mine == theirs:
        return True
    digits, other = (_NOT_DIGIT.sub("", text.partition("@")[0]) for text in (mine, theirs))
    shorter = min(len(digits), len(other))
    return shorter >= _SAME_DIGITS and digits[-_SAME_DIGITS:] == other[-_SAME_DIGITS:]
