"""One spelling for everything that is stored, compared or looked up. Every function is pure.

Each function gives the same for what it returned: `f(f(x)) == f(x)`. The blind indexes depend on
it, so a change here means that every index is computed again.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import wraps

from kernel.crypto import normalise_phone as _digits_of_phone

_DOTS = str.maketrans(dict.fromkeys("•‧∙・･.．‘'’", "·"))
_DASHES = re.compile(r"[\s\-‐-―−_.·()（）/]+")
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


def _settled(spell: Callable[[str], str]) -> Callable[[str], str]:
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


def plain_text(text: str, *, lines: bool = False) -> str:
    """Drop what cannot be seen, squeeze spaces; keep line ends when `lines`."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")
    if lines:
        rows = (re.sub(r"[^\S\n]+", " ", row).strip() for row in kept.split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(rows)).strip()
    return re.sub(r"\s+", " ", kept).strip()


@_settled
def name_of(text: str) -> str:
    """Write a name one way: one kind of middle dot (巴特尔·孟和), no stray spaces.

    Spaces between Chinese characters are a typist's alignment (王 芳) and go; those between Latin
    words stay.
    """
    name = plain_text(unicodedata.normalize("NFKC", text))
    if any(char >= "\u3400" for char in name):
        name = re.sub(r"\s+", "", name).translate(_DOTS)
    return name.strip("· ")


@_settled
def id_number_of(text: str) -> str:
    """Return the number with ASCII digits and a capital X, without spaces and dashes."""
    return _DASHES.sub("", unicodedata.normalize("NFKC", text)).upper()


@_settled
def phone_of(text: str) -> str:
    """Return digits without +86; a number abroad keeps its `+`. An extension is cut off."""
    text = _EXTENSION.sub("", unicodedata.normalize("NFKC", text).strip())
    dialled = re.sub(r"[^0-9+]", "", text)
    digits = dialled.replace("+", "")
    if dialled.startswith(("+86", "0086")):
        rest = _digits_of_phone(digits)
        # Written for abroad, an area code has lost its zero: +86 471 6281234.
        return f"0{rest}" if _LANDLINE_WITHOUT_ZERO.fullmatch(rest) else rest
    if dialled.startswith("+") or re.match(r"00[1-9]", dialled):
        return f"+{digits.lstrip('0')}" if digits.strip("0") else ""
    return _digits_of_phone(digits)


def is_phone(normalised: str) -> bool:
    """True for the shape of a number that can be called, after `phone_of`."""
    return _PHONE_SHAPES.fullmatch(normalised) is not None


@_settled
def address_of(text: str) -> str:
    """Write an address on one line, with ASCII digits and letters."""
    # NFKC would also turn （） and ， into ASCII, which nobody writes in a Chinese address.
    narrow = "".join(
        unicodedata.normalize("NFKC", c) if c.isalnum() or c in "－＃" else c for c in text
    )
    return plain_text(narrow)
