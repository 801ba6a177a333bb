"""The export of the whole roster: sent while it is made, the event loop free for the others."""

import asyncio
from datetime import datetime

from care.roster import service as roster
from care.roster.model import Filters, Order, RosterRow
from dashboards.console.csv_files import csv_file
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database

PHONE = "13812345678"
MANAGER = Actor(None, "sunli", "孙丽", frozenset({Role.CARE_MANAGER}), "1501")


async def test_twenty_thousand_rows_go_out_and_the_loop_stays_awake(
    db: Database, cipher: FieldCipher, now: datetime
) -> None:
    await fill(db, cipher, roster.EXPORT_LIMIT, now)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async with db.transaction() as tx:
        taken = await roster.export(tx, cipher, MANAGER, Filters(), Order(), now)
    watcher = asyncio.create_task(others())
    response = csv_file(
        "elders", now, ["姓名", "电话"], roster.exported(db, cipher, taken), whose_phone
    )
    lines = 0
    async for piece in response.body_iterator:
        lines += piece.count(b"\r\n") if isinstance(piece, bytes) else 0
    watcher.cancel()
    assert lines == 1 + roster.EXPORT_LIMIT
    # Some hundred; a handful if the whole list were made on the loop itself.
    assert turns >= 100


def whose_phone(row: RosterRow) -> list[str]:
    return [row.name, row.phone]


async def fill(db: Database, cipher: FieldCipher, count: int, now: datetime) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO elder (id, name, sex, division_code, created_at, updated_at)"
            " SELECT gen_random_uuid(), '张' || n, 'female', '150102006000', %s, %s"
            " FROM generate_series(1, %s) n",
            (now, now, count),
        )
        await tx.execute(
            "INSERT INTO elder_phone (id, elder_id, position, phone_enc, phone_index, label)"
            " SELECT gen_random_uuid(), id, 1, %s, %s, '' FROM elder",
            (cipher.encrypt("phone", PHONE), cipher.blind_index("phone", PHONE)),
        )
