"""One spelling for everything that is stored, compared or looked up. Every function is pure.

Each function gives the same for what it returned: `f(f(x)) == f(x)`. The blind indexes depend on
it, so a change here means that every index is computed again.
"""

import re
import unicodedata

from kernel.phones import settled

_DOTS = str.maketrans(dict.fromkeys("•‧∙・･.．‘'’", "·"))
_DASHES = re.compile(r"[\s\-‐-―−_.·()（）/]+")


def plain_text(text: str, *, lines: bool = False) -> str:
    """Drop what cannot be seen, squeeze spaces; keep line ends when `lines`."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")
    if lines:
        rows = (re.sub(r"[^\S\n]+", " ", row).strip() for row in kept.split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(rows)).strip()
    return re.sub(r"\s+", " ", kept).strip()


@settled
def name_of(text: str) -> str:
    """Write a name one way: one kind of middle dot (巴特尔·孟和), no stray spaces.

    Spaces between Chinese characters are a typist's alignment (王 芳) and go; those between Latin
    words stay.
    """
    name = plain_text(unicodedata.normalize("NFKC", text))
    if any(char >= "\u3400" for char in name):
        name = re.sub(r"\s+", "", name).translate(_DOTS)
    return name.strip("· ")


@settled
def id_number_of(text: str) -> str:
    """Return the number with ASCII digits and a capital X, without spaces and dashes."""
    return _DASHES.sub("", unicodedata.normalize("NFKC", text)).upper()


@settled
def address_of(text: str) -> str:
    """Write an address on one line, with ASCII digits and letters."""
    # NFKC would also turn （） and ， into ASCII, which nobody writes in a Chinese address.
    narrow = "".join(
        unicodedata.normalize("NFKC", c) if c.isalnum() or c in "－＃" else c for c in text
    )
    return plain_text(narrow)
