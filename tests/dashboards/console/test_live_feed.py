"""The live feed over real HTTP: frames, gaps, ends, and many browsers at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from dashboards.console import live
from hotline.incidents import service
from kernel.auth import service as auth
from kernel.auth.model import Role
from kernel.clock import utcnow
from kernel.db import fetch_value
from kernel.live import LiveEvent, publish
from tests.hotline.serving import Site, serving
from tests.hotline.world import World


@pytest.fixture
async def world(db, cipher, now) -> World:  # type: ignore[no-untyped-def]
    return World(db, cipher, now)


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    async with serving(world) as running:
        yield running


class Feed:
    """One browser on the feed, with what it has received."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, seconds: float = 30) -> dict[str, Any]:
        """Return the next data frame."""
        async with asyncio.timeout(seconds):
            while True:
                line = await anext(self._lines)
                if line.startswith("data: ") and line != "data: {}":
                    return json.loads(line[6:])  # type: ignore[no-any-return]

    async def raw(self, seconds: float = 30) -> str:
        """Return the next line of any kind."""
        async with asyncio.timeout(seconds):
            return await anext(self._lines)

    async def ended(self, seconds: float = 30) -> bool:
        """Wait for the end of the stream."""
        async with asyncio.timeout(seconds):
            async for _ in self._lines:
                pass
        return True


@asynccontextmanager
async def listening(client: httpx.AsyncClient) -> AsyncIterator[Feed]:
    async with client.stream("GET", "/live", timeout=None) as response:
        assert response.status_code == 200
        feed = Feed(response)
        assert await feed.raw() == "retry: 1000"
        assert await feed.next() == {"event": "resync"}
        yield feed


async def test_a_claim_reaches_the_browser_with_ids_and_codes_only(
    site: Site, world: World
) -> None:
    client, actor = await site.login()
    async with listening(client) as feed:
        incident = await world.opened(await world.elder("欧阳秀英"))
        opened = await feed.next()
        assert (opened["event"], opened["id"], opened["version"], opened["severity"]) == (
            "incident.opened", str(incident.id), 1, "critical",
        )  # fmt: skip
        assert opened["acknowledged_by"] is None
        async with world.db.transaction() as tx:
            await service.acknowledge(tx, incident.id, 1, actor, world.now)
        changed = await feed.next()
        assert (changed["event"], changed["status"], changed["acknowledged_by"]) == (
            "incident.changed", "acknowledged", actor.username,
        )  # fmt: skip
        assert "欧阳" not in json.dumps([opened, changed], ensure_ascii=False)


async def test_the_headers_keep_it_out_of_caches_and_buffers(site: Site) -> None:
    client, _ = await site.login()
    async with listening(client) as feed:
        headers = feed.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert "content-length" not in headers


async def test_only_the_events_of_the_division_arrive(site: Site, world: World) -> None:
    client, _ = await site.login(division="150105")
    async with listening(client) as feed:
        await world.opened(division="150102003000")
        own = await world.opened(division="150105001000")
        assert (await feed.next())["id"] == str(own.id)


async def test_the_feed_is_for_those_who_are_logged_in(site: Site) -> None:
    assert (await site.client().get("/live")).status_code == 401


async def test_after_the_line_to_the_database_was_cut_everything_is_rendered_again(
    site: Site, world: World
) -> None:
    client, _ = await site.login()
    async with listening(client) as feed:
        async with world.db.connection() as conn:
            cut = await fetch_value(
                conn,
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'silverline-dedicated'"
                " AND datname = current_database()",
            )
        assert cut >= 1
        assert await feed.next() == {"event": "resync"}
        incident = await world.opened()
        assert (await feed.next())["id"] == str(incident.id)


@pytest.mark.parametrize(
    ("role", "heard"),
    [
        (Role.OPERATOR, ["incident.opened", "device.changed", "elder.told"]),
        (Role.DEVICE_TECHNICIAN, ["device.changed", "elder.told"]),
        (Role.AUDITOR, ["elder.told"]),
    ],
)
async def test_everybody_hears_what_their_roles_may_read(
    site: Site, world: World, role: Role, heard: list[str]
) -> None:
    client, _ = await site.login("巴图", role)
    async with listening(client) as feed:
        await world.opened()
        for event in ("device.changed", "elder.told"):
            async with world.db.transaction() as tx:
                await publish(tx, event, division="150105", data={"id": "1"})
        assert [(await feed.next())["event"] for _ in heard] == heard


async def test_a_server_that_stops_ends_the_streams_and_does_not_hang(site: Site) -> None:
    clients = [(await site.login(f"坐席{n}"))[0] for n in range(3)]
    async with listening(clients[0]) as one, listening(clients[1]) as two:
        async with asyncio.timeout(30):
            await site.stop()
        assert await one.ended()
        assert await two.ended()


async def test_a_feed_ends_with_its_session(site: Site, world: World) -> None:
    client, actor = await site.login()
    session = await auth.find(world.db, client.cookies["silverline_session"], utcnow())
    assert session
    check = live.session_check(world.db, session, utcnow)
    frames = live.events(site.hub, actor, check, beat_seconds=0.05)
    assert b"resync" in await anext(frames)
    assert await anext(frames) == live.BEAT
    async with world.db.transaction() as tx:
        await tx.execute("DELETE FROM user_session")
    async with asyncio.timeout(30):
        rest = [chunk async for chunk in frames]
    assert len(rest) <= live.BEATS_BETWEEN_CHECKS


async def test_a_busy_feed_asks_for_its_session_too(site: Site) -> None:
    _, actor = await site.login()
    asked = 0

    async def never() -> bool:
        nonlocal asked
        asked += 1
        return False

    frames = live.events(site.hub, actor, never, beat_seconds=0.02)
    async with asyncio.timeout(30):
        async for _ in frames:
            site.hub.dispatch(LiveEvent("incident.changed"))
            await asyncio.sleep(0.001)
    assert asked == 1


async def test_a_deaf_feed_ends_so_that_the_browser_says_it(site: Site) -> None:
    _, actor = await site.login()

    async def always() -> bool:
        return True

    frames = live.events(site.hub, actor, always, beat_seconds=0.05)
    await anext(frames)
    await site.hub.stop()
    site.hub.listening.clear()
    async with asyncio.timeout(30):
        assert [chunk async for chunk in frames] == []


async def test_two_hundred_browsers_get_every_event(site: Site, world: World) -> None:
    client, _ = await site.login()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=site.url, cookies=client.cookies, limits=limits, timeout=30, trust_env=False
    ) as browsers:
        ready = asyncio.Semaphore(0)

        async def one() -> list[int]:
            async with listening(browsers) as feed:
                ready.release()
                return [(await feed.next(30))["n"] for _ in range(20)]

        tasks = [asyncio.create_task(one()) for _ in range(210)]
        for _ in tasks:
            async with asyncio.timeout(30):
                await ready.acquire()
        for n in range(20):
            async with world.db.transaction() as tx:
                await publish(tx, "incident.changed", division="150102003000", data={"n": n})
        results = await asyncio.gather(*tasks)
    assert results == [list(range(20))] * 210


async def test_a_browser_that_left_leaves_nothing_behind(site: Site) -> None:
    client, _ = await site.login()
    async with listening(client):
        assert len(site.hub._queues) == 1
    async with asyncio.timeout(30):
        while site.hub._queues:
            await asyncio.sleep(0.01)
