"""Press → ring → claim → dispatch → resolve: over real MQTT, in a browser, by keyboard alone."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import expect

from tests.journeys.conftest import Centre, Seat

pytestmark = [pytest.mark.alone, pytest.mark.timeout(180)]
OpenSeat = Callable[..., Awaitable[Seat]]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


async def rescue(centre: Centre, seat: Seat, open_seat: OpenSeat, kind: str) -> str:
    """Take one alarm from the ring to its resolution; return the incident."""
    keys = seat.page.keyboard
    incident = await centre.alarm(kind)
    await expect(seat.page.locator("#sound[data-state=ringing]")).to_be_attached()
    await seat.walk_to(incident)
    if kind == "fall":
        await expect(seat.page.locator("[data-chart][data-state=ready]").first).to_be_attached()
        await seat.picture("incident-zh")

    await keys.press("a")
    await seat.reaches(incident, "acknowledged")
    await expect(seat.page.locator("#act-dispatch")).to_be_visible()
    await expect(seat.page.locator("#sound[data-state=ringing]")).to_have_count(0)

    await seat.sees(incident, "dispatch")
    await keys.press("d")
    await expect(seat.page.locator("#dispatch-dialog")).to_be_visible()
    await keys.press("Enter")
    await seat.reaches(incident, "dispatched")
    await expect(seat.page.locator("dialog[open]")).to_have_count(0)
    return incident


async def answer_on_the_phone(centre: Centre, open_seat: OpenSeat, incident: str) -> Seat:
    """Open the link of the text as the responder does and tap through the steps."""
    phone = await open_seat(**PHONE)
    await phone.page.goto(await centre.link_on_the_phone(incident))
    for action in ("accept", "depart", "arrive", "complete"):
        button = phone.page.locator("form button.primary").first
        await expect(button).to_be_visible()
        if action == "depart":
            await phone.picture("responder")
        value = await button.get_attribute("value")
        await button.tap()
        await expect(phone.page.locator(f"form button.primary[value={value}]")).to_have_count(0)
    return phone


async def resolve(seat: Seat, incident: str) -> None:
    keys = seat.page.keyboard
    await expect(seat.page.locator("#act-resolve")).to_be_visible()
    await seat.sees(incident, "resolve")
    await keys.press("r")
    await expect(seat.page.locator("#resolve-dialog")).to_be_visible()
    await keys.press("1")
    await expect(seat.page.locator("#resolve-reason")).not_to_have_value("")
    await seat.page.locator("#resolve-dialog button.btn-primary").press("Enter")
    await seat.reaches(incident, "resolved")
    await expect(seat.page.locator(f"#queue-{incident}")).to_have_count(0)
    # The feed may be faster than the answer that closes it; until then keys belong to it.
    await expect(seat.page.locator("dialog[open]")).to_have_count(0)


async def test_a_fall_is_cared_for_in_chinese_by_keyboard_alone(
    centre: Centre, open_seat: OpenSeat
) -> None:
    seat = await open_seat("wangfang")
    incident = await rescue(centre, seat, open_seat, "fall")
    await answer_on_the_phone(centre, open_seat, incident)
    await seat.reaches(incident, "on_scene")
    await resolve(seat, incident)


async def test_a_press_is_cared_for_in_english(centre: Centre, open_seat: OpenSeat) -> None:
    seat = await open_seat("zhaomin")
    await seat.speak("en")
    await seat.page.goto(f"{centre.url}/console")
    await seat.hears()
    await expect(seat.page.locator("html")).to_have_attribute("lang", "en")
    incident = await rescue(centre, seat, open_seat, "sos")
    await seat.picture("incident-en")
    body = await seat.page.locator("#incident").inner_text()
    assert "Acknowledged" in body or "Claimed" in body or "Dispatched" in body
    await answer_on_the_phone(centre, open_seat, incident)
    await seat.reaches(incident, "on_scene")
    await resolve(seat, incident)


async def test_two_operators_race_and_the_loser_sees_who_was_faster(
    centre: Centre, open_seat: OpenSeat
) -> None:
    one, two = await asyncio.gather(open_seat("wangfang"), open_seat("zhaomin"))
    incident = await centre.alarm("fall")
    for seat in (one, two):
        await seat.page.goto(f"{centre.url}/console/incidents/{incident}")
        await expect(seat.page.locator("#act-acknowledge")).to_be_visible()
    await asyncio.gather(one.page.keyboard.press("a"), two.page.keyboard.press("a"))
    await one.reaches(incident, "acknowledged")
    async with centre.db.connection() as conn:
        cursor = await conn.execute(
            "SELECT u.display_name, u.username FROM incident i"
            " JOIN user_account u ON u.id = i.acknowledged_by WHERE i.id = %s",
            (incident,),
        )
        row = await cursor.fetchone()
    assert row is not None
    winner, loser = (one, two) if row[1] == "wangfang" else (two, one)
    await expect(loser.page.locator("body")).to_contain_text(row[0])
    await expect(loser.page.locator("#act-acknowledge")).to_have_count(0)
    await resolve(winner, incident)


async def test_the_feed_survives_a_restart_of_the_web_process(
    centre: Centre, open_seat: OpenSeat
) -> None:
    seat = await open_seat("wangfang")
    os.kill(centre.demo.stack.children["web"].process.pid, signal.SIGKILL)
    incident = await centre.alarm("fall")
    await expect(seat.page.locator(f"#queue-{incident}")).to_be_visible(timeout=60_000)
    await seat.hears()
    second = await centre.alarm("sos")
    await expect(seat.page.locator(f"#queue-{second}")).to_be_visible()
    if os.environ.get("SILVERLINE_PICTURES"):
        await seat.page.emulate_media(color_scheme="dark")
        await seat.page.goto(f"{centre.url}/console/incidents/{second}")
        await expect(seat.page.locator("[data-chart][data-state=ready]").first).to_be_attached()
        await seat.picture("queue-dark")
        await seat.page.emulate_media(color_scheme="light")
        await seat.page.locator(".incident-who a").click()
        await seat.page.wait_for_url("**/console/elders/*")
        await expect(seat.page.locator("[data-chart][data-state=ready]").first).to_be_attached()
        await seat.picture("elder-zh")
    for open_incident in (incident, second):
        await seat.page.goto(f"{centre.url}/console/incidents/{open_incident}")
        await seat.page.keyboard.press("a")
        await seat.reaches(open_incident, "acknowledged")
        await resolve(seat, open_incident)


async def test_a_second_press_rings_again_and_stays_one_incident(
    centre: Centre, open_seat: OpenSeat
) -> None:
    seat = await open_seat("wangfang")
    incident = await centre.alarm("smoke")
    async with centre.db.connection() as conn:
        cursor = await conn.execute(
            "SELECT d.id FROM incident i JOIN incident_activation a ON a.incident_id = i.id"
            " JOIN device d ON d.no = a.device_no WHERE i.id = %s",
            (incident,),
        )
        row = await cursor.fetchone()
    assert row is not None
    process = centre.demo.simulator.process
    assert process is not None
    assert process.stdin is not None
    process.stdin.write(f"clear {row[0]} smoke\nalarm {row[0]} smoke\n".encode())
    process.stdin.flush()
    repeated = seat.page.locator(f"#queue-{incident}")
    await expect(repeated).to_contain_text("第 2 次触发", timeout=30_000)
    await seat.page.goto(f"{centre.url}/console/incidents/{incident}")
    await seat.page.keyboard.press("a")
    await seat.reaches(incident, "acknowledged")
    await resolve(seat, incident)
