"""The built front end, the harness's web server and a real browser."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.dashboards.ui.harness import Stage, running


@pytest.fixture(scope="session")
def running_stage(built_assets: None) -> Iterator[Stage]:
    stage = Stage()
    with running(stage):
        yield stage


@pytest.fixture
def stage(running_stage: Stage) -> Iterator[Stage]:
    """The harness's server in its quiet beginning."""
    running_stage.reset()
    yield running_stage
    running_stage.cut()


@pytest.fixture
async def seat(chromium: Browser, stage: Stage) -> AsyncIterator[BrowserContext]:
    """One operator's browser: 1366×768, Chinese, light."""
    context = await chromium.new_context(
        base_url=stage.url, viewport={"width": 1366, "height": 768}, locale="zh-CN"
    )
    context.set_default_timeout(30_000)
    yield context
    await context.close()


@pytest.fixture
async def tab(seat: BrowserContext) -> Page:
    """A tab whose complaints are collected in `complaints`."""
    return await seat.new_page()
