"""The site of the devices' tests with the dead letters' pages besides."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from dashboards.console.deadletters import router as letters_router
from dashboards.console.devices import router as devices_router
from dashboards.ui.environment import Pages
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.dashboards.devices.site import Site, Visitor, make_site


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


@pytest.fixture
async def site(
    db: Database,
    cipher: FieldCipher,
    now: datetime,
    pages: Pages,
) -> AsyncIterator[Site]:
    made = await make_site(db, cipher, now, pages, devices_router, letters_router)
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def technician(site: Site) -> Visitor:
    """A device technician of 呼和浩特, logged in."""
    return await site.visitor("batu", Role.DEVICE_TECHNICIAN)
