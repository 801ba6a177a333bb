"""Readings of the last days for the demonstration's watches: charts have something to show."""

import math
import random
from datetime import datetime, timedelta

from devices.metrics import METRICS
from ingest.telemetry.model import ReadingRow
from ingest.telemetry.modes import make_room
from ingest.telemetry.store import copy_readings, upsert_latest
from kernel.db import Database, fetch_tuples

DAYS = 3
EVERY = timedelta(minutes=15)
# Metric, mean, spread between people, daily swing, noise; the heart is slow at night.
_SHAPES = (
    ("heart_rate", 78.0, 3.0, 6.0, 2.0),
    ("spo2", 96.5, 0.8, 0.4, 0.6),
    ("bp_systolic", 131.0, 9.0, 7.0, 5.0),
    ("bp_diastolic", 79.0, 5.0, 4.0, 3.0),
    ("body_temperature", 36.5, 0.1, 0.25, 0.08),
)


def history(device_no: int, now: datetime, seed: int) -> list[ReadingRow]:
    """Return the readings of one watch until `now`, the same for the same seed.

    Heart rate, oxygen, blood pressure and temperature in the catalogue's units. An hour without a
    watch on the wrist each day shows as a gap.
    """
    rng = random.Random(f"{seed}:{device_no}")  # noqa: S311 - invented people
    own = {metric: rng.gauss(mean, spread) for metric, mean, spread, _, _ in _SHAPES}
    charging = rng.randrange(18, 22)
    rows = []
    at = now - timedelta(days=DAYS)
    while at < now:
        local_hour = (at.hour + 8 + at.minute / 60) % 24
        if int(local_hour) != charging:
            swing = -math.cos((local_hour - 3) / 24 * 2 * math.pi)
            for metric, _, _, daily, noise in _SHAPES:
                value = own[metric] + daily * swing + rng.gauss(0, noise)
                top = 100.0 if metric == "spo2" else math.inf
                rows.append(
                    ReadingRow(at, device_no, METRICS[metric].id, round(min(value, top), 1))
                )
        at += EVERY
    return rows


async def seed_history(db: Database, now: datetime, seed: int) -> int:
    """Store the history of every bound watch; return how many readings that is."""
    async with db.connection() as conn:
        watches = await fetch_tuples(
            conn, "SELECT no FROM device WHERE profile = 'sl-watch-1' AND state = 'bound'"
        )
    rows = [row for (no,) in watches for row in history(no, now, seed)]
    # Of their own day each: while the scheduler moved them, everybody else would wait.
    await make_room(db, now - timedelta(days=DAYS), now)
    async with db.transaction() as tx:
        await copy_readings(tx, rows)
        await upsert_latest(tx, rows)
    return len(rows)
