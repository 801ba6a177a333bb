"""What technicians did in the last weeks of the demonstration: tests, and outages that are over.

Most devices were tried out in time, a few were not; most were there all the time, some were away
for hours: the page of the fleet has figures as a centre has them.
"""

import random
import uuid
from datetime import datetime, timedelta

from devices.fleet import store as fleet
from devices.profiles import PROFILES
from kernel.db import Database, Tx, fetch_tuples

_WEEKS = timedelta(days=28)
_LATE_SHARE = 0.04
_OUTAGE_SHARE = 0.3
_TRIED = {"sl-smoke-1": "smoke", "sl-gas-1": "gas", "sl-leak-1": "water_leak", "sl-fall-1": "fall"}


async def seed_fleet_history(db: Database, now: datetime, seed: int) -> None:
    """Store tests, comings and goings of every bound device, and the uptime that follows."""
    rng = random.Random(f"{seed}:fleet")  # noqa: S311 - invented technicians
    async with db.transaction() as tx:
        bound = await fetch_tuples(
            tx, "SELECT no, profile FROM device WHERE state = 'bound' ORDER BY no"
        )
        for no, profile in bound:
            await _tests(tx, no, profile, now, rng)
            await _presence(tx, no, now, rng)
        this_hour = now.replace(minute=0, second=0, microsecond=0)
        await fleet.sum_up_hours(tx, this_hour - _WEEKS, this_hour)


async def _tests(tx: Tx, no: int, profile: str, now: datetime, rng: random.Random) -> None:
    model = PROFILES.get(profile)
    if model is None or not model.self_test_days:
        return
    every = model.self_test_days
    late = rng.random() < _LATE_SHARE
    days = rng.uniform(every + 2, every + 9) if late else rng.uniform(1, every - 3)
    await tx.execute(
        "INSERT INTO device_self_test (id, device_no, at, kind) VALUES (%s, %s, %s, %s)",
        (
            uuid.UUID(int=rng.getrandbits(128), version=4),
            no,
            now - timedelta(days=days),
            _TRIED.get(profile, "sos"),
        ),
    )


async def _presence(tx: Tx, no: int, now: datetime, rng: random.Random) -> None:
    changes = [(now - _WEEKS, True)]
    if rng.random() < _OUTAGE_SHARE:
        away = now - timedelta(hours=rng.uniform(12, 27 * 24))
        changes += [(away, False), (away + timedelta(hours=rng.uniform(0.5, 11)), True)]
    for at, online in changes:
        await tx.execute(
            "INSERT INTO device_presence (device_no, at, online) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (no, at, online),
        )
