"""People, elders and devices to try the registry on."""

import uuid
from datetime import datetime

from care.elders.pinyin import reading_of
from devices.registry import service
from devices.registry.model import Device
from kernel.auth.model import Actor, Role
from kernel.db import Tx
from kernel.ids import new_id

CITY = "150100000000"
XINCHENG = "150102006000"
YUQUAN = "150104003000"


async def add_person(
    tx: Tx, now: datetime, *, username: str = "batu", name: str = "巴图", division: str = "1501"
) -> Actor:
    """Insert a technician's account."""
    actor = Actor(new_id(), username, name, frozenset({Role.DEVICE_TECHNICIAN}), division)
    await tx.execute(
        "INSERT INTO user_account (id, username, display_name, password_hash, roles, division,"
        " created_at) VALUES (%s, %s, %s, 'x', '{device_technician}', %s, %s)",
        (actor.user_id, username, name, division, now),
    )
    return actor


async def add_elder(
    tx: Tx, now: datetime, name: str = "李秀英", division: str = XINCHENG
) -> uuid.UUID:
    """Insert an elder with a home in 呼和浩特."""
    reading = reading_of(name)
    elder_id = new_id()
    await tx.execute(
        "INSERT INTO elder (id, name, pinyin, pinyin_initials, sex, division_code, lat, lon,"
        " created_at, updated_at) VALUES (%s, %s, %s, %s, 'female', %s, 40.8522, 111.7013, %s, %s)",
        (elder_id, name, reading.pinyin, reading.initials, division, now, now),
    )
    return elder_id


async def add_device(
    tx: Tx,
    actor: Actor,
    now: datetime,
    device_id: str = "W-0193",
    *,
    profile: str = "sl-watch-1",
    division: str = XINCHENG,
    **more: str | None,
) -> Device:
    """Take a device into stock."""
    return await service.register(
        tx,
        device_id=device_id,
        profile=profile,
        division_code=division,
        actor=actor,
        now=now,
        **more,
    )
