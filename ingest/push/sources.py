"""Make, revoke and recognise the sources. Audited; a token is shown once and kept as a hash."""

import re
from datetime import datetime, timedelta

from ingest.push import store
from ingest.push.adapters import ADAPTERS, not_pushed
from ingest.push.model import NewSource, Source
from kernel import audit
from kernel.auth.model import Actor
from kernel.db import Database, Tx
from kernel.divisions import is_prefix
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import new_id
from kernel.tokens import new_token, token_hash

PREFIX = "sls_"
"""Begins every token, so that a scanner of repositories knows one when it sees it."""

FHIR = "fhir"
"""The codec of a token that pushes nothing: its system reads by FHIR (ingest/fhir)."""

READING_DAYS = 365
LONGEST_DAYS = 3650

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_TOKEN = 200


async def add(
    tx: Tx,
    *,
    name: str,
    codec: str,
    division: str,
    actor: Actor,
    now: datetime,
    days: int | None = None,
) -> NewSource:
    """Make a source whose token holds for some days, 0: until it is revoked.

    Without `days` a token to read holds a year, and one to push has no end: no alarm may be turned
    away because of a date. Raises Invalid, and Conflict when one of this name is in use.
    """
    wrong: dict[str, str] = {}
    if not _NAME.fullmatch(name):
        wrong["name"] = "1 to 64 letters, digits, dots, dashes and underscores"
    if codec not in ADAPTERS and codec != FHIR:
        wrong["codec"] = f"{not_pushed(codec)} A system that reads has the codec {FHIR}."
    if division and not is_prefix(division):
        wrong["division"] = "is no division code or the beginning of one"
    if days is None:
        days = READING_DAYS if codec == FHIR else 0
    if not 0 <= days <= LONGEST_DAYS:
        wrong["days"] = f"0 to {LONGEST_DAYS}"
    if wrong:
        raise Invalid("The source cannot be made.", wrong)
    ends = now + timedelta(days=days) if days else None
    source = Source(new_id(), name, codec, division, now, expires_at=ends)
    token = PREFIX + new_token()
    if not await store.insert(tx, source, token_hash(token)):
        raise Conflict(f"There is a source {name} already; revoke it first.", name=name)
    await _record(tx, "source.created", source, actor, now)
    return NewSource(source, token)


async def revoke(tx: Tx, name: str, *, actor: Actor, now: datetime) -> Source:
    """End the token of a source at once. Raises NotFound."""
    source = await store.revoke(tx, name, now)
    if source is None:
        raise NotFound(f"There is no source {name} in use.", name=name)
    await _record(tx, "source.revoked", source, actor, now)
    return source


async def recognise(db: Database, token: str, now: datetime) -> Source | None:
    """Return the source with this token, None when there is none. One indexed query."""
    if not token.startswith(PREFIX) or len(token) > _LONGEST_TOKEN:
        return None
    async with db.connection() as conn:
        source = await store.by_token(conn, token_hash(token), now)
        if source is not None:
            await store.note_use(conn, source, now)
    return source


async def _record(tx: Tx, action: str, source: Source, actor: Actor, now: datetime) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="source",
        subject_id=str(source.id),
        division=source.division,
        detail={"name": source.name, "codec": source.codec},
        now=now,
    )
