"""People who act, and a city to live in."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kernel.auth.model import Actor, Role
from kernel.db import Database, Tx
from kernel.ids import new_id

MakeActor = Callable[..., "object"]


async def add_actor(
    tx: Tx, username: str, *roles: Role, division: str = "1501", name: str = "王芳"
) -> Actor:
    """Insert an account and return the person."""
    actor = Actor(new_id(), username, name, frozenset(roles), division)
    await tx.execute(
        "INSERT INTO user_account (id, username, display_name, password_hash, roles, division,"
        " created_at) VALUES (%s, %s, %s, 'x', %s, %s, %s)",
        (
            actor.user_id,
            username,
            name,
            [role.value for role in roles],
            division,
            datetime(2026, 1, 1, tzinfo=UTC),
        ),
    )
    return actor


@pytest.fixture
def db_template(divided_template: str) -> str:
    """The divisions of the country are there."""
    return divided_template


@pytest.fixture
async def manager(db: Database) -> Actor:
    """A care manager of 呼和浩特: may read, reveal, write and import."""
    async with db.transaction() as tx:
        return await add_actor(tx, "sunli", Role.CARE_MANAGER, name="孙丽")


@pytest.fixture
async def operator(db: Database) -> Actor:
    """An operator: may read and reveal, not write."""
    async with db.transaction() as tx:
        return await add_actor(tx, "wangfang", Role.OPERATOR)


@pytest.fixture
async def outsider(db: Database) -> Actor:
    """A care manager of 玉泉区 alone."""
    async with db.transaction() as tx:
        return await add_actor(tx, "zhaomin", Role.CARE_MANAGER, division="150104", name="赵敏")
