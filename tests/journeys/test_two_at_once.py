"""Two alarms at three in the morning: the demonstration's button, calls that ring, one by one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import expect

from app.demo.run import listen_for_wishes
from tests.journeys.conftest import Centre, Seat, until
from tests.journeys.test_rescue import resolve

pytestmark = [pytest.mark.alone, pytest.mark.timeout(180)]
OpenSeat = Callable[..., Awaitable[Seat]]


@pytest.fixture
async def wishes(centre: Centre) -> AsyncIterator[None]:
    """What `silverline demo` does beside the stack: it passes the buttons on to the simulator."""
    listening = asyncio.create_task(listen_for_wishes(centre.demo))

    async def heard() -> bool | None:
        async with centre.db.connection() as conn:
            cursor = await conn.execute(
                "SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN demo' AND state = 'idle'"
            )
            return True if await cursor.fetchone() else None

    await until(heard, "somebody who listens")
    yield
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_one_operator_cares_for_two_elders_one_after_the_other(
    centre: Centre, open_seat: OpenSeat, wishes: None
) -> None:
    seat = await open_seat("wangfang")
    page, keys = seat.page, seat.page.keyboard
    await keys.press("m")
    item = page.locator("#queue [data-status=open][data-kind=fall]")
    await expect(item).to_have_count(1)
    first = str(await item.get_attribute("data-incident"))
    second = await centre.alarm("sos")
    await seat.walk_to(first)
    await expect(page.locator(f"#queue-{second}")).to_be_visible()

    # Calling claims it; the call rings and is answered while the page stays where it is.
    await keys.press("c")
    await seat.reaches(first, "acknowledged")
    reach = page.locator("#reach-elder")
    await expect(reach).to_contain_text("振铃中")
    # The other one still rings: it is somebody else.
    await expect(page.locator("#sound")).to_have_attribute("data-state", "ringing")
    await keys.press("n")
    await keys.type("老人说只是坐得太快")
    await reach.get_by_role("button", name="演示：接听").click()
    await expect(reach).to_contain_text("已接通")
    await expect(page.locator("#note")).to_have_value("老人说只是坐得太快")
    await page.locator("#note").press("Enter")
    await expect(page.locator("#incident-timeline")).to_contain_text("备注：老人说只是坐得太快")
    await keys.press("Escape")
    await resolve(seat, first)

    await expect(page.locator("#act-following")).to_be_visible()
    await keys.press("x")
    await page.wait_for_url(f"**/console/incidents/{second}")
    await keys.press("a")
    await seat.reaches(second, "acknowledged")
    await expect(page.locator("#sound")).to_have_attribute("data-state", "on")
    await resolve(seat, second)
    await keys.press("Escape")
    await expect(page.locator("#mine")).to_contain_text("没有")
