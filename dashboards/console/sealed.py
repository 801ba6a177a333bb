"""Keeps what is searched for out of addresses: an address lies in histories, logs and screenshots.

A search for a telephone or ID number is posted, and the page that answers has the text sealed in
its address: paging, sorting, export, reload and the way back work as with any other search, with
and without scripts. A sealed text opens for the person alone who searched.
"""

import base64
import binascii
import re
import unicodedata

from kernel.auth.model import Actor
from kernel.crypto import CryptoError, FieldCipher

_PURPOSE = "search"
_MARK = "~"
# The shortest telephone number has seven digits. A device's number may be as long; it does no harm
# to seal it too.
_FEWEST_DIGITS = 7


def looks_personal(text: str) -> bool:
    """Return whether a text may be, or hold, a telephone or ID number; what is sealed does not."""
    if text.startswith(_MARK):
        return False
    return len(re.findall(r"\d", unicodedata.normalize("NFKC", text))) >= _FEWEST_DIGITS


def sealed(cipher: FieldCipher, actor: Actor, text: str) -> str:
    """Return a search text as it may stand in an address."""
    if not looks_personal(text):
        return text
    box = cipher.encrypt(_PURPOSE, f"{actor.user_id}\n{text}")
    return _MARK + base64.urlsafe_b64encode(box).decode().rstrip("=")


def opened(cipher: FieldCipher, actor: Actor, value: str) -> str:
    """Return what stands sealed or plain in an address; "" for what is not this person's."""
    if not value.startswith(_MARK):
        return value
    coded = value[len(_MARK) :]
    try:
        box = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        owner, _, text = cipher.decrypt(_PURPOSE, box).partition("\n")
    except (CryptoError, binascii.Error, ValueError):
        return ""
    return text if owner == str(actor.user_id) else ""
