"""The parts of the demonstration: its fleet and its books."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.fleet import MIX, plan_fleet
from app.demo.tally import count, latency
from devices.profiles import PROFILES
from kernel.db import Database
from kernel.ids import new_id


@given(st.integers(min_value=10, max_value=3000))
def test_a_fleet_has_as_many_devices_as_asked_and_no_home_has_two_of_a_kind(devices: int) -> None:
    fleet = plan_fleet(devices)
    assert len(fleet) == devices
    assert len({device.device_id for device in fleet}) == devices
    assert len({(device.type, device.home) for device in fleet}) == devices
    assert {device.home for device in fleet} <= set(range(max(d.home for d in fleet) + 1))


def test_every_kind_is_there_and_has_a_profile() -> None:
    fleet = plan_fleet(40)
    assert {device.type for device in fleet} == {kind for kind, _, _, _ in MIX}
    assert all(device.profile in PROFILES for device in fleet)


def test_latency_is_by_nearest_rank() -> None:
    found = latency([float(i) for i in range(1, 101)])
    assert (found.p50, found.p95, found.p99, found.max) == (50, 95, 99, 100)


@pytest.mark.parametrize("values", [[], [3.25]])
def test_latency_of_few(values: list[float]) -> None:
    found = latency(values)
    assert found.max == (round(values[0], 1) if values else None)


@pytest.mark.parametrize(
    ("stored", "published", "lost", "doubled"),
    [(4, 5, 1, 0), (5, 5, 0, 0), (6, 6, 0, 0), (7, 6, 0, 1)],
)
async def test_a_last_will_that_the_broker_may_have_published_counts_if_it_is_stored(
    db: Database, now: datetime, stored: int, published: int, lost: int, doubled: int
) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
            " VALUES ('W-0001', 'sl-watch-1', '150102001001', %s, %s)",
            (now, now),
        )
        for _ in range(stored):
            await tx.execute(
                "INSERT INTO ingest_message SELECT no, %s, %s FROM device", (new_id(), now)
            )
    account = {"messages": 4, "readings": 0, "wills": 1, "wills_possible": 1}
    none = {"by_device": {}, "alarms_published": 0}
    report = {"devices": 1, "by_device": {"W-0001": account}, "tcp": none, "alarms_published": 0}
    tally = await count(db, report, [], [], storage_mode="plain", broker="")
    assert (tally.messages_ingested, tally.messages_published) == (stored, published)
    assert (tally.lost, tally.duplicates) == (lost, doubled)
