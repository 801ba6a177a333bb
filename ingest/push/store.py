"""SQL of the sources."""

from datetime import datetime, timedelta
from typing import LiteralString

from ingest.push.model import Source
from kernel.db import Tx, execute, fetch_all, fetch_one

_SELECT: LiteralString = (
    "SELECT id, name, codec, division, created_at, last_used_at, revoked_at, expires_at"
    " FROM ingest_source"
)
_NOTE_USE_EVERY = timedelta(minutes=1)


async def insert(tx: Tx, source: Source, token_hash: bytes) -> bool:
    """Add a source; False when one of this name is in use."""
    added = await execute(
        tx,
        "INSERT INTO ingest_source (id, name, codec, token_hash, division, created_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING",
        (
            source.id,
            source.name,
            source.codec,
            token_hash,
            source.division,
            source.created_at,
            source.expires_at,
        ),
    )
    return added > 0


async def by_token(tx: Tx, token_hash: bytes, now: datetime) -> Source | None:
    """Return the source with this token, None when there is none, it was revoked or has ended."""
    return await fetch_one(
        tx,
        Source,
        _SELECT + " WHERE token_hash = %s AND revoked_at IS NULL"
        " AND coalesce(expires_at > %s, true)",
        (token_hash, now),
    )


async def note_use(tx: Tx, source: Source, now: datetime) -> None:
    """Note that a source was heard, once a minute at most."""
    await execute(
        tx,
        "UPDATE ingest_source SET last_used_at = %s"
        " WHERE id = %s AND (last_used_at IS NULL OR last_used_at < %s)",
        (now, source.id, now - _NOTE_USE_EVERY),
    )


async def revoke(tx: Tx, name: str, now: datetime) -> Source | None:
    """End the token of a source; None when none of this name is in use."""
    return await fetch_one(
        tx,
        Source,
        "UPDATE ingest_source SET revoked_at = %s WHERE name = %s AND revoked_at IS NULL"
        " RETURNING id, name, codec, division, created_at, last_used_at, revoked_at, expires_at",
        (now, name),
    )


async def all_sources(tx: Tx) -> list[Source]:
    """Return every source, those in use first, by name."""
    return await fetch_all(
        tx, Source, _SELECT + " ORDER BY revoked_at IS NOT NULL, name, created_at"
    )
