"""How a claim code is made, written and read. Pure, but for the random numbers of `new_code`.

Ten characters of Crockford's base 32 (no I, L, O, U) are 50 bits: easy to read out and to type, and
with the limit on attempts too many to guess.
"""

import secrets
import unicodedata

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 10
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})
_BETWEEN = str.maketrans("", "", " -‐‑–—－_.\t")


def new_code() -> str:
    """Return a random code without separators."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def written(code: str) -> str:
    """Return a code as it is printed: 7K2QF-0M9XD."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def read(text: str) -> str | None:
    """Return the code that somebody typed or scanned, None when it cannot be one."""
    plain = unicodedata.normalize("NFKC", text).upper().translate(_BETWEEN).translate(_MISREAD)
    if len(plain) != LENGTH or any(char not in ALPHABET for char in plain):
        return None
    return plain
