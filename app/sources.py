"""What `silverline source` does: add, revoke and list the platforms that push."""

from typing import Any

from app.settings import Settings
from ingest.push import sources, store
from ingest.push.model import NewSource
from kernel.auth.model import SYSTEM
from kernel.clock import utcnow
from kernel.db import Database


async def add(
    settings: Settings, name: str, codec: str, division: str, days: int | None
) -> NewSource:
    """Make a source; return it with its token. Raises Invalid or Conflict with a sentence."""
    db = await Database.open(settings.database_url, max_size=2)
    try:
        async with db.transaction() as tx:
            made = await sources.add(
                tx, name=name, codec=codec, division=division, actor=SYSTEM, now=utcnow(),
                days=days,
            )  # fmt: skip
    finally:
        await db.close()
    return made


async def revoke(settings: Settings, name: str) -> None:
    """End the token of a source. Raises NotFound with a sentence."""
    db = await Database.open(settings.database_url, max_size=2)
    try:
        async with db.transaction() as tx:
            await sources.revoke(tx, name, actor=SYSTEM, now=utcnow())
    finally:
        await db.close()


async def listed(settings: Settings) -> list[dict[str, Any]]:
    """Return every source, without anything secret."""
    db = await Database.open(settings.database_url, max_size=2)
    try:
        async with db.connection() as conn:
            found = await store.all_sources(conn)
    finally:
        await db.close()
    return [
        {
            "name": each.name,
            "codec": each.codec,
            "division": each.division,
            "created_at": each.created_at.isoformat(),
            "last_used_at": each.last_used_at.isoformat() if each.last_used_at else None,
            "expires_at": each.expires_at.isoformat() if each.expires_at else None,
            "revoked_at": each.revoked_at.isoformat() if each.revoked_at else None,
        }
        for each in found
    ]
