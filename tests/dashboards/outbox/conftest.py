"""The site with the page of what the workers have given up."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from dashboards.console.outbox import router
from dashboards.ui.environment import Pages
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.dashboards.devices.site import Site, Visitor, make_site


@pytest.fixture
async def site(
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages
) -> AsyncIterator[Site]:
    made = await make_site(db, cipher, now, pages, router)
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def administrator(site: Site) -> Visitor:
    """An administrator, logged in."""
    return await site.visitor("zhao", Role.ADMINISTRATOR, name="赵敏")
