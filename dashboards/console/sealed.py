"""Keeps what is searched for out of addresses: an address lies in histories, logs and screenshots.

What may name a person - a telephone or ID number, a name in Chinese or in pinyin - is posted, and
the page that answers has the text sealed in its address: paging, sorting, export, reload and the
way back work as with any other search, with and without scripts. A sealed text opens for the
person alone who searched.

A list has two routes for it: `find`, where its search form is posted (`sent_on`), and the list
itself, which sends on whoever comes with a plain name or with a search that does not open
(`elsewhere`) and reads its filters with `plain`. An export sends on the latter, too (`ended`).
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from fastapi import Request
from starlette.responses import Response

from dashboards.console.typed import form_values, see_other
from dashboards.ui.listing import Listing
from dashboards.ui.view import SEARCH_ENDED
from kernel.auth.model import Actor
from kernel.crypto import CryptoError, FieldCipher

_PURPOSE = "search"
_MARK = "~"
# The shortest telephone number has seven digits. A device's number may be as long; it does no harm
# to seal it too.
_FEWEST_DIGITS = 7
# Initials (lxy) name nobody, and numbers of devices and incidents have digits in them (W-0193).
_FEWEST_LETTERS = 5
# Version, key, nonce, tag and the owner's id alone are 67 bytes. What else begins with the mark was
# typed by somebody.
_SEALED = re.compile(r"~[A-Za-z0-9_-]{90,}")
LONGEST_SEARCH = 200
_OUR_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def looks_personal(text: str) -> bool:
    """Return whether a text may be, or hold, a person's number or name; what is sealed does not."""
    if _SEALED.fullmatch(text) or _OUR_ID.fullmatch(text):
        return False
    plain = unicodedata.normalize("NFKC", text)
    digits = sum(char.isdecimal() for char in plain)
    letters = [char for char in plain if char.isalpha()]
    return (
        digits >= _FEWEST_DIGITS
        or not all(char.isascii() for char in letters)
        or (digits == 0 and len(letters) >= _FEWEST_LETTERS)
    )


def sealed(cipher: FieldCipher, actor: Actor, text: str) -> str:
    """Return a search text as it may stand in an address."""
    if _SEALED.fullmatch(text):
        return text
    text = text[:LONGEST_SEARCH]
    if not looks_personal(text):
        return text
    box = cipher.encrypt(_PURPOSE, f"{actor.user_id}\n{text}")
    return _MARK + base64.urlsafe_b64encode(box).decode().rstrip("=")


def opened(cipher: FieldCipher, actor: Actor, value: str) -> str:
    """Return what stands sealed or plain in an address; "" for what is not this person's."""
    if not _SEALED.fullmatch(value):
        return value
    coded = value[len(_MARK) :]
    try:
        box = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        owner, _, text = cipher.decrypt(_PURPOSE, box).partition("\n")
    except (CryptoError, binascii.Error, ValueError):
        return ""
    return text if owner == str(actor.user_id) else ""


def exposed(listing: Listing) -> bool:
    """Return whether an address names somebody: an old bookmark, or typed by hand."""
    return looks_personal(listing.filters.get("q", ""))


def kept(cipher: FieldCipher, actor: Actor, listing: Listing) -> Listing:
    """Return the listing with nothing in its address that names a person."""
    text = listing.filters.get("q", "")
    if not text:
        return listing
    return replace(listing, filters={**listing.filters, "q": sealed(cipher, actor, text)})


def ended(cipher: FieldCipher, actor: Actor, listing: Listing) -> str | None:
    """Return the list without its search, where the page says so, if the search does not open.

    Somebody else has searched, or the address is damaged. To show everything without a word would
    pass for what was found. None where there is nothing to say.
    """
    text = listing.filters.get("q", "")
    if not _SEALED.fullmatch(text) or opened(cipher, actor, text):
        return None
    filters = {name: value for name, value in listing.filters.items() if name != "q"}
    return replace(listing, filters=filters, page=1).url(**{SEARCH_ENDED: 1})


def elsewhere(cipher: FieldCipher, actor: Actor, listing: Listing) -> str | None:
    """Return the address to send somebody on to who should not stay at this one, if any."""
    if exposed(listing):
        return kept(cipher, actor, listing).url()
    return ended(cipher, actor, listing)


def plain(cipher: FieldCipher, actor: Actor, listing: Listing) -> dict[str, str]:
    """Return the filters of a listing, the search among them in plain words, "" without one."""
    text = opened(cipher, actor, listing.filters.get("q", ""))
    return {**listing.filters, "q": text}


async def sent_on(
    request: Request,
    cipher: FieldCipher,
    actor: Actor,
    path: str,
    *,
    sorts: Sequence[str],
    filters: Sequence[str],
) -> Response:
    """Answer a search form: on to the list at `path`, its filters in the address, nobody named."""
    values = await form_values(request)
    listing = Listing.from_query(path, values, sorts=sorts, filters=filters)
    return see_other(kept(cipher, actor, listing).url(sort=values.get("sort")))
