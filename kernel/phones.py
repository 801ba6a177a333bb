"""Telephone numbers in one spelling, for storing, calling and the blind index. Pure.

The blind indexes depend on it: a change here means that every index is computed again.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import wraps

_EXTENSION = re.compile(r"(?:转|分机|ext\.?|x|#|,|，)\s*\d{1,6}$", re.IGNORECASE)

_PHONE_SHAPES = re.compile(
    r"""1[3-9]\d{9}            # mobile
      | 0[1-9]\d{1,2}[2-9]\d{6,7} # area code and number
      | [2-9]\d{6,7}           # number of the same area
      | [48]00\d{7}            # service numbers
      | 1(?:00|2[0-9]|16|18)\d{2,3} | 9[56]\d{3,4} # hotlines
      | \+[1-9]\d{6,14}        # abroad
    """,
    re.VERBOSE,
)
_LANDLINE_WITHOUT_ZERO = re.compile(r"(?!1[3-9]\d{9}|[48]00\d{7})[1-9]\d{1,2}[2-9]\d{6,7}")


def settled(spell: Callable[[str], str]) -> Callable[[str], str]:
    """Spell again until nothing changes: one pass can bring together what Unicode then joins."""

    @wraps(spell)
    def settle(text: str) -> str:
        for _ in range(4):
            again = spell(text)
            if again == text:
                break
            text = again
        return text

    return settle


@settled
def phone_of(text: str) -> str:
    """Return digits without +86; a number abroad keeps its `+`. An extension is cut off."""
    text = _EXTENSION.sub("", unicodedata.normalize("NFKC", text).strip())
    dialled = re.sub(r"[^0-9+]", "", text)
    digits = dialled.replace("+", "")
    if dialled.startswith(("+86", "0086")):
        rest = _digits_of(digits)
        # Written for abroad, an area code has lost its zero: +86 471 6281234.
        return f"0{rest}" if _LANDLINE_WITHOUT_ZERO.fullmatch(rest) else rest
    if dialled.startswith("+") or re.match(r"00[1-9]", dialled):
        return f"+{digits.lstrip('0')}" if digits.strip("0") else ""
    return _digits_of(digits)


def is_phone(normalised: str) -> bool:
    """True for the shape of a number that can be called, after `phone_of`."""
    return _PHONE_SHAPES.fullmatch(normalised) is not None


def _digits_of(digits: str) -> str:
    for prefix in ("0086", "86"):
        if digits.startswith(prefix) and len(digits) - len(prefix) >= 10:
            return digits[len(prefix) :]
    return digits
