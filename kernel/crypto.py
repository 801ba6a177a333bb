"""Personal data at rest: AES-256-GCM boxes per purpose, blind indexes by HMAC, screen masks.

A box is `version(1) | key id(1) | nonce(12) | ciphertext+tag`, with the purpose as associated data,
so that a box moved to another column does not open. Keys are derived from a master key by HKDF.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kernel.errors import DomainError

_VERSION = 1
_NONCE = 12


class CryptoError(DomainError):
    """A key is missing or unusable, or a box does not open."""

    code = "crypto"
    status = 500


def parse_master_key(text: str) -> bytes:
    """Return the 32 bytes of a base64 master key. Raises CryptoError on anything else."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CryptoError(
            "the master key is not base64; make one with: openssl rand -base64 32"
        ) from error
    if len(key) != 32:
        raise CryptoError(f"the master key has {len(key)} bytes instead of 32")
    return key


def new_master_key() -> str:
    """Return a fresh master key as base64 text."""
    return base64.b64encode(os.urandom(32)).decode()


class FieldCipher:
    """Encrypts fields by purpose; `masters` maps a key id (0–255) to its 32 bytes.

    `current` encrypts; all of them decrypt, so that a key can be rotated without a stop. The blind
    index always uses the lowest key id: it must not change with the rotation.
    """

    def __init__(self, masters: Mapping[int, bytes], current: int | None = None) -> None:
        if not masters:
            raise CryptoError("no master key is configured")
        self._masters = dict(masters)
        self._current = max(masters) if current is None else current
        self._index_id = min(masters)
        self._boxes: dict[tuple[int, str], AESGCM] = {}
        self._index_keys: dict[str, bytes] = {}

    def _derive(self, key_id: int, info: str) -> bytes:
        if key_id not in self._masters:
            raise CryptoError(
                f"master key {key_id} is not configured, but data was encrypted with it"
            )
        hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"silverline", info=info.encode())
        return hkdf.derive(self._masters[key_id])

    def _box(self, key_id: int, purpose: str) -> AESGCM:
        if (key_id, purpose) not in self._boxes:
            self._boxes[key_id, purpose] = AESGCM(self._derive(key_id, f"box:{purpose}"))
        return self._boxes[key_id, purpose]

    def encrypt_bytes(self, purpose: str, data: bytes) -> bytes:
        """Return a box for the purpose."""
        nonce = os.urandom(_NONCE)
        sealed = self._box(self._current, purpose).encrypt(nonce, data, purpose.encode())
        return bytes((_VERSION, self._current)) + nonce + sealed

    def decrypt_bytes(self, purpose: str, box: bytes) -> bytes:
        """Open a box. Raises CryptoError when it is not whole, not ours or of another purpose."""
        if len(box) < 2 + _NONCE + 16 or box[0] != _VERSION:
            raise CryptoError("this is not an encrypted field")
        nonce, sealed = box[2 : 2 + _NONCE], box[2 + _NONCE :]
        try:
            return self._box(box[1], purpose).decrypt(nonce, sealed, purpose.encode())
        except InvalidTag as error:
            raise CryptoError(
                f"an encrypted {purpose} does not open: wrong key or damaged"
            ) from error

    def encrypt(self, purpose: str, text: str) -> bytes:
        """Return a box of UTF-8 text."""
        return self.encrypt_bytes(purpose, text.encode())

    def decrypt(self, purpose: str, box: bytes) -> str:
        """Open a box of UTF-8 text."""
        return self.decrypt_bytes(purpose, bytes(box)).decode()

    def blind_index(self, purpose: str, text: str) -> bytes:
        """Return the 32-byte HMAC-SHA256 under which the normalised text can be looked up."""
        if purpose not in self._index_keys:
            self._index_keys[purpose] = self._derive(self._index_id, f"index:{purpose}")
        return hmac.new(self._index_keys[purpose], text.encode(), hashlib.sha256).digest()


def mask_name(name: str) -> str:
    """张三丰 → 张*丰, 张三 → 张*; a single character stays."""
    if len(name) <= 1:
        return name
    if len(name) == 2:
        return name[0] + "*"
    return name[0] + "*" * (len(name) - 2) + name[-1]


def mask_phone(phone: str) -> str:
    """13812345678 → 138****5678, 6912345 → ***2345; up to six digits keep the last two."""
    if len(phone) >= 11:
        return phone[:3] + "*" * (len(phone) - 7) + phone[-4:]
    if len(phone) >= 7:
        return "*" * (len(phone) - 4) + phone[-4:]
    return "*" * max(0, len(phone) - 2) + phone[-2:]


def mask_id_number(number: str) -> str:
    """150102194001011238 → 150102********1238."""
    if len(number) < 11:
        return "*" * len(number)
    return number[:6] + "*" * (len(number) - 10) + number[-4:]


def mask_address(address: str) -> str:
    """Keep what is before the first house number, hide the rest."""
    for position, char in enumerate(address):
        if char.isdigit():
            return address[:position] + "***"
    return address[: max(1, len(address) // 2)] + "***"
