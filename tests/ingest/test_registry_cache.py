"""The registry in memory: bounded, right from the next message on, and cautious when deaf."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from devices.registry.model import Address
from ingest import registry_cache
from ingest.registry_cache import RegistryCache
from kernel.db import Database, fetch_value
from tests.ingest.home import Home, until

WATCH = Address("silverline_v1", "W-0001")


@pytest.fixture
async def cache(db: Database) -> AsyncIterator[RegistryCache]:
    one = RegistryCache(db, size=50)
    listener = asyncio.create_task(one.listen())
    await one.listening.wait()
    yield one
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)


async def elder_of(cache: RegistryCache, address: Address = WATCH) -> object:
    device = (await cache.devices([address])).get(address)
    return None if device is None else device.elder_id


async def test_a_device_is_known_as_soon_as_it_is_registered_and_bound(
    db: Database, home: Home, cache: RegistryCache
) -> None:
    assert await cache.devices([WATCH]) == {}
    no = await home.device("W-0001")

    async def known() -> bool:
        return bool(await cache.devices([WATCH]))

    await until(known)
    assert await elder_of(cache) is None
    elder = await home.elder()
    await home.set(no, state="stock")
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE device SET elder_id = %s, state = 'bound' WHERE no = %s", (elder, no)
        )

    async def bound() -> bool:
        return await elder_of(cache) == elder

    await until(bound)


async def test_what_every_message_changes_is_not_read_again(
    db: Database, home: Home, cache: RegistryCache, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())

    async def listened() -> bool:
        return bool(await cache.devices([WATCH]))

    await until(listened)
    first = (await cache.devices([WATCH]))[WATCH]
    await home.set(no, last_seen_at=now, battery_percent=50, online=True, lat=40.8, lon=111.7)
    await home.set(await home.device("W-0002"), room="卧室")
    address = Address("silverline_v1", "W-0002")

    async def second_is_known() -> bool:
        found = await cache.devices([address])
        return address in found and found[address].room == "卧室"

    await until(second_is_known)
    assert (await cache.devices([WATCH]))[WATCH] is first


async def test_aliases_limits_and_the_gateway_count_from_the_next_message_on(
    db: Database, home: Home, cache: RegistryCache, now: datetime
) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0001", "sl-gateway-1")
    no = await home.device("B-0001", "z2m-hs1eb", elder=elder, gateway=gateway)
    button = Address("zigbee2mqtt", "客厅按钮")
    assert await cache.devices([button]) == {}
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO device_alias VALUES ('zigbee2mqtt', '客厅按钮', %s)", (no,))

    async def known() -> bool:
        return await elder_of(cache, button) == elder

    await until(known)
    assert (await cache.watches([elder]))[elder].away_until is None
    away = now + timedelta(days=3)
    await home.watch(elder, away_until=away)

    async def is_away() -> bool:
        return (await cache.watches([elder]))[elder].away_until == away

    await until(is_away)
    await home.set(gateway, id="G-0001-B")

    async def renamed() -> bool:
        return (await cache.devices([button]))[button].gateway_id == "G-0001-B"

    await until(renamed)
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM device_alias")

    async def gone() -> bool:
        return not await cache.devices([button])

    await until(gone)


async def test_it_stays_bounded(home: Home, cache: RegistryCache) -> None:
    for number in range(60):
        await home.device(f"W-{number:04}")
    for number in range(60):
        await cache.devices([Address("silverline_v1", f"W-{number:04}")])
    for number in range(500):
        await cache.devices([Address("silverline_v1", f"nobody-{number}")])
    assert len(cache._devices) <= 50
    assert len(cache._unknown) <= 5
    assert len(cache._behind) <= 50


async def test_it_hears_again_after_its_connection_was_cut(
    db: Database, home: Home, cache: RegistryCache
) -> None:
    no = await home.device("W-0001")

    async def known() -> bool:
        return bool(await cache.devices([WATCH]))

    await until(known)
    async with db.transaction() as tx:
        await fetch_value(
            tx,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN registry%%'",
        )

    async def deaf() -> bool:
        return not cache.listening.is_set()

    await until(deaf)
    await cache.listening.wait()
    await cache.devices([WATCH])
    await home.set(no, room="厨房")

    async def moved() -> bool:
        return (await cache.devices([WATCH]))[WATCH].room == "厨房"

    await until(moved)


async def test_while_it_is_deaf_it_believes_its_memory_for_seconds_only(
    db: Database, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(registry_cache, "monotonic", lambda: clock[0])
    deaf = RegistryCache(db)
    no = await home.device("W-0001")
    assert (await deaf.devices([WATCH]))[WATCH].room == "客厅"
    await home.set(no, room="厨房")
    clock[0] += 1.9
    assert (await deaf.devices([WATCH]))[WATCH].room == "客厅"
    clock[0] += 0.2
    assert (await deaf.devices([WATCH]))[WATCH].room == "厨房"
