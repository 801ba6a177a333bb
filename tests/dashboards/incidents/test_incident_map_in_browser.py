"""The map of an incident while people move: it follows, and no late answer takes it back."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from hotline.incidents import service
from hotline.incidents.model import Incident, Resolution
from hotline.responders import service as responders
from tests.dashboards.incidents.conftest import Seat, Site
from tests.dashboards.incidents.test_incident_page import advance, at
from tests.dashboards.ui.watching import NEXT_FRAME, settled
from tests.hotline.world import World


@pytest.fixture
async def tab(web_site: Site, seat: Seat, fall: Incident) -> Page:
    """The incident's page in the operator's browser."""
    page = await web_site.tab(seat, at(fall))
    await settled(page)
    return page


async def test_the_map_follows_the_responder(
    tab: Page, world: World, seat: Seat, fall: Incident
) -> None:
    held = await advance(world, fall, seat.actor, "claim")
    near = await world.responder("斯琴")
    async with world.db.transaction() as tx:
        await responders.report_position(tx, near, 40.8600, 111.6900, 12, world.now)
    await world.sent(held, near, seat.actor)
    line = tab.locator(".map-list li", has_text="斯琴")
    await expect(line).to_contain_text("北 330 米")
    await expect(line).to_contain_text("已通知")
    # Resolved, nobody follows any more: who was on the way is no news.
    version = (await world.incident(fall.id)).version
    async with world.db.transaction() as tx:
        await service.resolve(
            tx, fall.id, version, Resolution.FOUNDED, "已送医", seat.actor, world.now
        )
    await expect(line).to_have_count(0)
    await expect(tab.locator(".map-list li").first).to_be_visible()


async def test_an_older_answer_that_comes_late_does_not_take_the_map_back(
    tab: Page, world: World, seat: Seat, fall: Incident
) -> None:
    near = await world.responder("斯琴")
    async with world.db.transaction() as tx:
        await responders.report_position(tx, near, 40.8600, 111.6900, 12, world.now)
    asked, release, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def keep_the_first(route: Route) -> None:
        answer = await route.fetch()
        first = not asked.is_set()
        asked.set()
        if first:
            await release.wait()
        await route.fulfill(response=answer)
        if first and (given := await route.request.response()):
            await given.finished()
            told.set()

    await tab.route("**/markers", keep_the_first)
    held = await advance(world, fall, seat.actor, "claim")
    await asyncio.wait_for(asked.wait(), 20)
    await world.sent(held, near, seat.actor)
    await expect(tab.locator("#incident-status [aria-current]")).to_have_text("已派人")
    release.set()
    await asyncio.wait_for(told.wait(), 20)
    await tab.evaluate(NEXT_FRAME)
    await expect(tab.locator(".map-list li", has_text="斯琴")).to_contain_text("已通知")
