"""What the tests of a record do to begin with: register somebody, and look at the log."""

import uuid
from dataclasses import replace
from datetime import datetime

from care.elders import service
from kernel import audit
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.care.samples import (
    LI,
    NEIGHBOUR,
    SON,
)


async def register(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime, **changes: object
) -> uuid.UUID:
    async with db.transaction() as tx:
        return await service.create(
            tx, cipher, actor, replace(LI, **changes), now, contacts=(SON, NEIGHBOUR)
        )


async def actions(db: Database, elder_id: uuid.UUID) -> list[tuple[str, dict]]:
    async with db.connection() as conn:
        page = await audit.search(conn, audit.AuditFilters(subject_id=str(elder_id)))
    return [(one.action, one.facts) for one in reversed(page.entries)]
