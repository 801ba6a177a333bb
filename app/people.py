"""What `silverline responder` and `silverline duty-phone` do."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from app.settings import Settings
from hotline.contacts.model import PHONE
from hotline.escalation import settings as duty
from hotline.responders import roster
from hotline.responders.roster_store import Filters
from kernel import divisions
from kernel.auth import store as accounts
from kernel.auth.model import SYSTEM
from kernel.clock import utcnow
from kernel.crypto import mask_phone
from kernel.db import Database, Tx
from kernel.errors import Invalid, NotFound


@asynccontextmanager
async def _transaction(settings: Settings) -> AsyncIterator[Tx]:
    db = await Database.open(settings.database_url, max_size=2)
    try:
        async with db.transaction() as tx:
            yield tx
    finally:
        await db.close()


async def _known(tx: Tx, division: str) -> str:
    """Return the prefix of a division. Raises Invalid when there is none."""
    prefix = divisions.significant_prefix(division) if divisions.is_code(division) else division
    if prefix and (not divisions.is_prefix(prefix) or not await divisions.get(
        tx, divisions.pad(prefix)
    )):  # fmt: skip
        raise Invalid("There is no such division.", {"division": division})
    return prefix


async def _account(tx: Tx, username: str) -> uuid.UUID | None:
    if not username:
        return None
    user = await accounts.get_user_by_name(tx, username)
    if user is None:
        raise NotFound(f"There is no account {username}.")
    return user.id


async def add_responder(
    settings: Settings,
    name: str,
    phone: str,
    division: str,
    skills: Sequence[str],
    station: str,
    account: str,
    on_duty: bool,
) -> None:
    """Register a responder. Raises Invalid with what is wrong."""
    async with _transaction(settings) as tx:
        prefix = await _known(tx, division)
        form = roster.Form(
            name.strip(), phone, skills, divisions.pad(prefix) if prefix else "", station.strip(),
            await _account(tx, account),
        )  # fmt: skip
        responder_id = await roster.create(tx, settings.cipher(), SYSTEM, form, utcnow())
        if on_duty:
            await roster.set_duty(tx, SYSTEM, responder_id, True, utcnow())


async def responders(settings: Settings) -> list[dict[str, Any]]:
    """Return every responder who is not disabled, the numbers masked."""
    cipher = settings.cipher()
    async with _transaction(settings) as tx:
        rows, _ = await roster.search(
            tx, SYSTEM, Filters(), order="division", limit=100_000, offset=0
        )
    return [
        {
            "name": row.name,
            "phone": mask_phone(cipher.decrypt(PHONE, bytes(row.phone_enc))),
            "station": row.station,
            "division": row.division_code,
            "skills": row.skills,
            "account": row.account,
            "on_duty": row.on_duty,
            "dispatches": row.busy,
            "position_at": row.fix_at.isoformat() if row.fix_at else None,
        }
        for row in rows
    ]


async def set_duty_phone(
    settings: Settings, name: str, phone: str, division: str, position: int, account: str
) -> None:
    """Add the duty phone at a place of a division, or replace the one that is there."""
    async with _transaction(settings) as tx:
        prefix = await _known(tx, division)
        there = [
            one
            for one in await duty.phones(tx, SYSTEM)
            if (one.division, one.position) == (prefix, position)
        ]
        form = duty.PhoneForm(prefix, position, name.strip(), phone, await _account(tx, account))
        await duty.save_phone(
            tx,
            settings.cipher(),
            SYSTEM,
            there[0].id if there else None,
            there[0].version if there else 0,
            form,
            utcnow(),
        )
