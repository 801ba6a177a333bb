"""The link that a responder gets: a token (kernel/tokens.py), of which only a hash is kept.

It opens one incident for one person for 12 hours; 30 minutes after completion it is dead. The link
is the whole right, so it goes into no log and no outbox item.
"""

from datetime import timedelta

LIFETIME = timedelta(hours=12)
AFTER_COMPLETION = timedelta(minutes=30)


def link(public_url: str, token: str) -> str:
    """Return the address of the responder's page."""
    return f"{public_url.rstrip('/')}/r/{token}"
