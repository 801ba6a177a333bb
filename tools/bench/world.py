"""A centre for the benchmark: elders with a bracelet each, and what the bracelets say."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernel.db import Database

_DIVISION = "150102001001"
_PROFILE = "sl-watch-1"


@dataclass(frozen=True, slots=True)
class Load:
    """How much: so many devices, so many messages of each, six readings in a message."""

    devices: int
    messages_each: int

    @property
    def messages(self) -> int:
        """Messages of all devices."""
        return self.devices * self.messages_each


@dataclass(frozen=True, slots=True)
class Published:
    """One MQTT message as a device sends it."""

    topic: str
    payload: bytes


async def make_devices(db: Database, devices: int, now: datetime) -> None:
    """Put elders and their bound devices into an empty database."""
    since = now - timedelta(days=30)
    async with db.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO elder (id, name, sex, division_code, created_at, updated_at)
            SELECT gen_random_uuid(), '老人' || n, 'female', %s, %s, %s
            FROM generate_series(1, %s) AS n
            """,
            (_DIVISION, since, since, devices),
        )
        await tx.execute(
            """
            INSERT INTO device (id, profile, state, elder_id, division_code, created_at, updated_at)
            SELECT 'BENCH-' || lpad(row_number() OVER ()::text, 6, '0'), %s, 'bound', id, %s, %s, %s
            FROM elder
            """,
            (_PROFILE, _DIVISION, since, since),
        )
        await tx.execute(
            """
            INSERT INTO device_binding (id, device_no, elder_id, bound_at)
            SELECT gen_random_uuid(), no, elder_id, %s FROM device
            """,
            (since,),
        )


def messages(load: Load, session: str, now: datetime) -> Iterator[Published]:
    """Yield the messages in the order in which they would be sent, one a second of each device.

    The last second is `now`. The values are those of people who are well: no alarm comes of them.
    """
    chance = random.Random(12349)  # noqa: S311 - heart rates, not secrets
    begin = now - timedelta(seconds=load.messages_each)
    for n in range(load.messages_each):
        at = int((begin + timedelta(seconds=n)).timestamp() * 1000)
        for number in range(1, load.devices + 1):
            body = {
                "seq": n,
                "sid": session,
                "t": at + number % 1000,
                "vitals": {
                    "heart_rate": chance.randint(62, 84),
                    "spo2": chance.randint(95, 99),
                    "bp_systolic": chance.randint(112, 128),
                    "bp_diastolic": chance.randint(70, 82),
                    "body_temperature": chance.randint(361, 368) / 10,
                    "steps": 40 * n,
                },
            }
            topic = f"silverline/v1/BENCH-{number:06d}/vitals"
            yield Published(topic, json.dumps(body, separators=(",", ":")).encode())
