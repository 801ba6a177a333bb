"""Everything comes several times and in any order, from several connections at once."""

import random
from collections import Counter
from datetime import datetime

import pytest

from kernel.clock import utcnow
from kernel.db import fetch_tuples
from tests.faults import books
from tests.faults.books import Stored
from tests.faults.disorder import EACH, METRICS, PRESS, lives, publish_copies, watches
from tests.faults.installation import Installation, until
from tests.faults.run import LINES


async def difference(installation: Installation, before: Stored) -> Stored:
    return (await books.stored(installation.db)).since(before)


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_copies_in_any_order_are_stored_once_and_judged_once(
    installation: Installation, name: str
) -> None:
    dice = random.Random(name)
    devices = watches(installation)
    told = lives(devices, dice)
    before, since = await books.stored(installation.db), utcnow()
    async with installation.operators():
        copies = await publish_copies(installation.stack.mqtt_port, told, dice)
        await installation.ready("ingest")
        wanted = Counter(each.device for each in told)

        async def complete() -> bool:
            found = await difference(installation, before)
            quiet = "SELECT count(*) FROM incident WHERE status <> 'resolved'"
            enough = all(found.messages.get(one, 0) >= wanted[one] for one in devices)
            return enough and not await installation.count(quiet)

        await until(complete, "every message to be stored and every incident to be resolved")
    found = await difference(installation, before)
    lost = sum(max(0, wanted[one] - found.messages.get(one, 0)) for one in devices)
    doubled = sum(max(0, found.messages.get(one, 0) - wanted[one]) for one in devices)
    LINES.append(
        f"{name}: sent {copies} (different {len(told)})"
        f" stored {sum(found.messages.get(one, 0) for one in devices)}"
        f" doubled {doubled} lost {lost} · dead letters {found.letters}"
    )
    assert (lost, doubled, found.letters) == (0, 0, 0)
    readings = (EACH - 1) * len(METRICS)
    assert {one: found.readings.get(one, 0) for one in devices} == dict.fromkeys(devices, readings)
    await check_alarms(installation, devices, since)


async def check_alarms(installation: Installation, devices: list[str], since: datetime) -> None:
    """One press of each device is one alarm, and what is shown is the newest that was said."""
    async with installation.db.connection() as conn:
        presses = await fetch_tuples(
            conn,
            "SELECT d.id, count(*) FROM alarm a JOIN device d ON d.no = a.device_no"
            " WHERE a.seq = %s AND a.kind = 'sos' AND d.id = ANY(%s) AND a.received_at >= %s"
            " GROUP BY 1",
            (PRESS, devices, since),
        )
    assert dict(presses) == dict.fromkeys(devices, 1)

    async def newest_is_shown() -> bool:
        # Ingest writes what is shown every other second (ingest/telemetry/latest.py).
        return not await installation.count(
            "SELECT count(*) FROM latest_reading l JOIN device d ON d.no = l.device_no"
            " WHERE d.id = ANY(%s) AND l.time < (SELECT max(r.time) FROM reading r"
            "  WHERE r.device_no = l.device_no AND r.metric = l.metric AND r.quality & 10 = 0)",
            devices,
        )

    await until(newest_is_shown, "the newest readings to be shown")
