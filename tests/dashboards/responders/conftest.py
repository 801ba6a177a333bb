"""The site with the pages of responders, accounts and one's own account."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from dashboards.console.account.routes import router as account_router
from dashboards.console.responders.routes import router
from dashboards.console.users.routes import router as users_router
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
    made = await make_site(db, cipher, now, pages, router, users_router, account_router)
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def chief(site: Site) -> Visitor:
    """The supervisor of 呼和浩特, logged in."""
    return await site.visitor("lijianguo", Role.SUPERVISOR, name="李建国")
