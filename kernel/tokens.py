"""Tokens: whoever shows one is let in. Sessions, links, keys of batches and sources, and devices.

A token exists in clear only where it is made and with its holder; here it is kept as a hash.
"""

import hashlib
import secrets


def new_token() -> str:
    """Return 256 random bits as 43 characters that need no quoting in a URL."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return the SHA-256 that is kept: so many random bits need no slow hash.

    Of text that no encoding can hold too, which is then nobody's token.
    """
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
