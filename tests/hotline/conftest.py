"""Fixtures of the hotline's tests."""

from datetime import datetime

import pytest

from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.hotline.world import World


@pytest.fixture
async def world(db: Database, cipher: FieldCipher, now: datetime) -> World:
    """The test's database with helpers."""
    return World(db, cipher, now)


@pytest.fixture
async def operator(world: World) -> Actor:
    """王芳, an operator of the city."""
    return await world.user("王芳", username="wangfang")
