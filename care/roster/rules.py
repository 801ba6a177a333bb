"""What somebody who types into the search box may mean. Pure."""

import re
from dataclasses import dataclass

from care.elders import normalise
from kernel.phones import is_phone, phone_of

_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,63}")
_ID_NUMBER = re.compile(r"\d{17}[\dX]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Ways to read a query; any of them may find somebody. "" is no way."""

    name: str = ""
    letters: str = ""
    phone: str = ""
    id_number: str = ""
    device: str = ""

    @property
    def is_anything(self) -> bool:
        """False when nothing in the query can be looked for."""
        return any((self.name, self.letters, self.phone, self.id_number, self.device))

    @property
    def is_personal(self) -> bool:
        """True when a number of a person was looked up, which the audit log should know."""
        return bool(self.phone or self.id_number)


def read_query(text: str) -> Wanted:
    """Return what the text may mean.

    张秀 is part of a name; `zhangxiu` or `zx` is pinyin or initials; 0471-6281234 a telephone
    number; W-0193 a device; a number of 18 is an ID number.
    """
    text = normalise.plain_text(text)[:80]
    if not text:
        return Wanted()
    number = normalise.id_number_of(text)
    phone = phone_of(text)
    numeric = re.fullmatch(r"[+0-9０-９\s\-‐-―()（）Xx]+", text) is not None
    letters = re.sub(r"['’\s]", "", text).lower().replace("ü", "v")
    compact = text.replace(" ", "")
    return Wanted(
        name="" if numeric else normalise.name_of(text),
        letters=letters if letters.isascii() and letters.isalpha() else "",
        phone=phone if numeric and is_phone(phone) else "",
        id_number=number if _ID_NUMBER.fullmatch(number) else "",
        device=compact if _DEVICE_ID.fullmatch(compact) else "",
    )


def like(text: str) -> str:
    """Escape what LIKE would read as a wildcard."""
    return re.sub(r"([\\%_])", r"\\\1", text)
