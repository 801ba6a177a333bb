"""A small fleet in three townships: online, silent, empty, tampered with, in every mode."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from care.elders.demo import seed_elders
from dashboards.console.devices import router as devices_router
from dashboards.console.fleet import router as fleet_router
from dashboards.ui.environment import Pages
from devices.alarms import AlarmKind
from devices.firmware.shelf import Shelf
from devices.fleet import jobs as fleet_jobs
from devices.modes import service as modes
from devices.modes.model import DeviceMode
from devices.registry import service as registry
from devices.technical import service as technical
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx
from tests.dashboards.devices.site import Site, Visitor, make_site
from tests.devices.registry.world import YUQUAN, add_device

MODELS = ("sl-watch-1", "sl-pendant-1", "sl-smoke-1", "sl-door-1", "sl-gateway-1")
VERSIONS = ("1.4.2", "1.4.1", "1.3.0")
LONG_ID = "SL-PENDANT-2026-NMG-HHHT-XINCHENG-000193-0000000000000000000X"


@pytest.fixture
async def site(
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages, tmp_path: Path
) -> AsyncIterator[Site]:
    made = await make_site(db, cipher, now, pages, devices_router, fleet_router)
    made.app.state.firmware = Shelf(tmp_path / "firmware")
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def technician(site: Site) -> Visitor:
    """A device technician of 呼和浩特, logged in."""
    return await site.visitor("batu", Role.DEVICE_TECHNICIAN)


@pytest.fixture
async def supervisor(site: Site) -> Visitor:
    """A supervisor of 玉泉区, logged in."""
    return await site.visitor("zhaomin", Role.SUPERVISOR, name="赵敏", division=YUQUAN[:6])


async def furnish(site: Site, actor: Actor, count: int = 36) -> None:
    """Devices with elders, a history of three days, modes, technical alarms."""
    now, dice = site.clock.now, random.Random(11)
    async with site.db.transaction() as tx:
        elders = await seed_elders(tx, site_cipher(), count, now, 7)
        begin = now - timedelta(days=40)
        for number, elder in enumerate(elders):
            name = LONG_ID if number == 5 else f"W-{number:04}"
            device = await add_device(
                tx, actor, begin, name, profile=MODELS[number % len(MODELS)],
                division=elder.division_code,
            )  # fmt: skip
            await registry.bind(tx, device.no, elder.id, "客厅", actor=actor, now=begin)
            await _live(tx, device.no, number, dice, now)
        await _trouble(tx, actor, now)
    await fleet_jobs.sum_up(site.db, now)


def site_cipher() -> FieldCipher:
    """The tests' cipher: the key of the fixture of the same name."""
    return FieldCipher({1: bytes(range(32))})


async def _live(tx: Tx, no: int, number: int, dice: random.Random, now: datetime) -> None:
    silent = number % 4 == 3
    seen = now - timedelta(hours=dice.randint(3, 60)) if silent else now - timedelta(minutes=2)
    await tx.execute(
        "UPDATE device SET online = %s, last_seen_at = %s, battery_percent = %s, firmware = %s"
        " WHERE no = %s",
        (not silent, seen, dice.randint(4, 100), dice.choice(VERSIONS), no),
    )
    at, online = now - timedelta(days=3), True
    moments = [(at, online)]
    while (at := at + timedelta(minutes=dice.randint(200, 2000))) < seen:
        online = not online
        moments.append((at, online))
    if moments[-1][1] is silent:
        moments.append((seen, not silent))
    for at, online in moments:
        await tx.execute("INSERT INTO device_presence VALUES (%s, %s, %s)", (no, at, online))


async def _trouble(tx: Tx, actor: Actor, now: datetime) -> None:
    kinds: tuple[tuple[int, AlarmKind, dict[str, str | int]], ...] = (
        (4, AlarmKind.DEVICE_OFFLINE, {"minutes": 240}), (8, AlarmKind.DEVICE_OFFLINE, {}),
        (2, AlarmKind.LOW_BATTERY, {"percent": 9}), (6, AlarmKind.TAMPER, {"detail": "case"}),
        (1, AlarmKind.CLOCK_SKEW, {"offset_s": -3600}), (9, AlarmKind.SELF_TEST_OVERDUE, {}),
    )  # fmt: skip
    for place, (no, kind, detail) in enumerate(kinds):
        at = now - timedelta(hours=place + 1)
        await technical.raise_for(tx, no, kind, "150102006000", at, dict(detail))
    for no, mode, hours, reason in (
        (3, DeviceMode.TEST, 1, "安装演练"), (7, DeviceMode.AWAY, 200, "去北京女儿家过冬"),
        (10, DeviceMode.MAINTENANCE, 5, "更换电池和支架，等厂家寄零件"),
    ):  # fmt: skip
        until = now + timedelta(hours=hours)
        await modes.start(tx, no, mode, until=until, reason=reason, actor=actor, now=now)


__all__ = ["furnish", "site", "supervisor", "technician"]
