"""The secrets of devices, as tables and command lines have to carry them."""

from datetime import datetime

from devices.credentials import service
from kernel.crypto import FieldCipher
from kernel.db import Tx, execute, fetch_value


async def test_no_secret_begins_with_a_sign(tx: Tx, cipher: FieldCipher, now: datetime) -> None:
    """One of 64 did: a table that is safe in Excel then has an apostrophe before it."""
    await execute(
        tx,
        "INSERT INTO device (id, profile, state, division_code, room, created_at, updated_at)"
        " SELECT 'W-' || n, 'sl-watch-1', 'stock', '150105000000', '', %s, %s"
        " FROM generate_series(1, 600) n",
        (now, now),
    )
    first = int(await fetch_value(tx, "SELECT min(no) FROM device", ()))
    devices = [(first + n, f"W-{n + 1}") for n in range(600)]
    made = await service.issue_many(tx, devices, cipher=cipher, now=now)
    made.append(await service.issue(tx, first, cipher=cipher, now=now))
    assert len({each.password for each in made}) == 601
    assert [each.password for each in made if not each.password[0].isalnum()] == []
