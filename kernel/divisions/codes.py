"""Arithmetic of 12-digit division codes: province 2, city 2, county 2, township 3, village 3.

A *prefix* is the significant part ("1501"), a *code* is padded with zeros ("150100000000"). What a
person may see is a prefix, and the rows below it are those whose code begins with it.
"""

WIDTHS = (2, 4, 6, 9, 12)
_FULL = 12


def is_code(text: str) -> bool:
    """True for twelve digits that begin with a province."""
    return len(text) == _FULL and _digits(text) and text[:2] != "00"


def is_prefix(text: str) -> bool:
    """True for "" (the whole country) and for the significant digits of a code."""
    return text == "" or (len(text) in WIDTHS and _digits(text) and text[:2] != "00")


def significant_prefix(code: str) -> str:
    """Return "1501" for "150100000000". Raises ValueError for what is not a code."""
    if not is_code(code):
        raise ValueError(f"{code!r} is not a 12-digit division code")
    for width in WIDTHS:
        if not code[width:].strip("0"):
            return code[:width]
    return code


def pad(prefix: str) -> str:
    """Return "150100000000" for "1501". Raises ValueError for any other number of digits."""
    if not prefix or not is_prefix(prefix):
        raise ValueError(f"{prefix!r} is not the significant part of a division code")
    return prefix.ljust(_FULL, "0")


def level(code: str) -> int:
    """Return 1 for a province, 2 city, 3 county, 4 township, 5 village. Raises ValueError."""
    return WIDTHS.index(len(significant_prefix(code))) + 1


def ancestors(code: str) -> tuple[str, ...]:
    """Return the codes above this one, the province first. Raises ValueError.

    A city without counties is skipped where the county would be: 441900003000 lies in 4419.
    """
    prefix = significant_prefix(code)
    found: list[str] = []
    for width in WIDTHS[: level(code) - 1]:
        above = pad(prefix[:width])
        if above not in found:
            found.append(above)
    return tuple(found)


def parent(code: str) -> str | None:
    """Return the code directly above, None for a province. Raises ValueError."""
    above = ancestors(code)
    return above[-1] if above else None


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
