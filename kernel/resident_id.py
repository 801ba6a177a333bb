"""Resident identity numbers of the People's Republic of China (GB 11643-1999).

Eighteen characters: division code (6 digits, GB/T 2260 at the time of issue), birth date (8),
sequence (3, odd for men), and a check character by ISO 7064 MOD 11-2 over the other seventeen.

A division code that we do not know is a warning and no error: codes were abolished and merged for
forty years, and a list of today's refuses thousands of valid numbers of older people.
"""

import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from kernel.divisions.bundled import county_codes

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_LOCAL = ZoneInfo("Asia/Shanghai")

PROBLEMS = {
    "id_number_length": "An ID number has 18 characters.",
    "id_number_old": "This number has the 15 digits of the first generation; enter today's 18.",
    "id_number_characters": "An ID number has 17 digits and a digit or X at the end.",
    "id_number_birth_date": "The birth date inside the ID number is not a real day up to today.",
    "id_number_check": "The check digit does not fit: a digit is wrong or two are swapped.",
}
WARNINGS = {"id_number_division": "The first six digits name no division that we know."}


@dataclass(frozen=True, slots=True)
class ResidentId:
    """What a check found.

    `code` is a key of PROBLEMS, None for a valid number; `warnings` are keys of WARNINGS. Birth
    date, sex and division are there only when the number is valid.
    """

    number: str
    code: str | None = None
    warnings: tuple[str, ...] = ()
    birth_date: date | None = None
    sex: Literal["male", "female"] | None = None
    division: str | None = None

    @property
    def valid(self) -> bool:
        """True when the number may be stored."""
        return self.code is None

    @property
    def problem(self) -> str:
        """The English sentence for the problem, "" for a valid number."""
        return PROBLEMS[self.code] if self.code else ""


def normalise_id_number(text: str) -> str:
    """Return the number as it is stored: half-width, no spaces, X as a capital."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


def check_character(digits: str) -> str:
    """Return the 18th character of 17 digits (ISO 7064 MOD 11-2)."""
    return _CHECKS[sum(w * int(d) for w, d in zip(_WEIGHTS, digits, strict=True)) % 11]


def check_resident_id(
    text: str, now: datetime, *, counties: Container[str] | None = None
) -> ResidentId:
    """Check a number as somebody typed it; never raises.

    `now` bounds the birth date, by the calendar in China. `counties` are the known six-digit codes,
    by default those that come with the program.
    """
    number = normalise_id_number(text)
    if len(number) == 15 and _digits(number):
        return ResidentId(number, "id_number_old")
    if len(number) != 18:
        return ResidentId(number, "id_number_length")
    if not _digits(number[:17]) or not (_digits(number[17]) or number[17] == "X"):
        return ResidentId(number, "id_number_characters")
    born = _birth_date(number[6:14])
    if born is None or born > now.astimezone(_LOCAL).date():
        return ResidentId(number, "id_number_birth_date")
    if check_character(number[:17]) != number[17]:
        return ResidentId(number, "id_number_check")
    known = county_codes() if counties is None else counties
    return ResidentId(
        number,
        warnings=() if number[:6] in known else ("id_number_division",),
        birth_date=born,
        sex="male" if int(number[16]) % 2 else "female",
        division=number[:6],
    )


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _birth_date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
