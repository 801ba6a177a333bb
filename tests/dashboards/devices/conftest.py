"""The site with a technician in it."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

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
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages
) -> AsyncIterator[Site]:
    made = await make_site(db, cipher, now, pages)
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def technician(site: Site) -> Visitor:
    """A device technician of 呼和浩特, logged in."""
    return await site.visitor("batu", Role.DEVICE_TECHNICIAN)
