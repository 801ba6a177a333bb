"""The link that a responder gets: 256 random bits, of which only the SHA-256 is kept.

It opens one incident for one person for 12 hours; 30 minutes after completion it is dead. The link
is the whole right, so it goes into no log and no outbox item.
"""

import hashlib
import secrets
from datetime import timedelta

LIFETIME = timedelta(hours=12)
AFTER_COMPLETION = timedelta(minutes=30)


def new_token() -> str:
    """Return a fresh token: 43 characters that need no quoting in a URL."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return the 32 bytes under which the database knows the token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def link(public_url: str, token: str) -> str:
    """Return the address of the responder's page."""
    return f"{public_url.rstrip('/')}/r/{token}"
