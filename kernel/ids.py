"""Identifiers: UUID version 7 (RFC 9562), so that rows sort and index by time of birth."""

import uuid

import uuid_utils


def new_id() -> uuid.UUID:
    """Return a fresh UUIDv7 as a standard library UUID."""
    return uuid.UUID(int=uuid_utils.uuid7().int)
