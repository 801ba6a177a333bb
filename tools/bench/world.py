"""A centre for the benchmark: elders with a bracelet each, and what the bracelets say."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernel.db import Database

_DIVISION = "150102001001"
READINGS = 5
"""Metrics in a message: heart rate, oxygen, both blood pressures, temperature."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much: so many bracelets, so many messages of each, five readings in a message.

    With `batch` above 1 the bracelets speak through gateways, each with so many of them, and a
    frame holds one message of each.
    """

    devices: int
    messages_each: int
    batch: int = 1

    def __post_init__(self) -> None:
        if self.devices % self.batch:
            raise ValueError("every gateway has the same number of bracelets")

    @property
    def messages(self) -> int:
        """Messages of all bracelets."""
        return self.devices * self.messages_each

    @property
    def frames(self) -> int:
        """MQTT messages that they come in."""
        return self.messages // self.batch

    @property
    def rows(self) -> int:
        """Readings in all of them."""
        return self.messages * READINGS


@dataclass(frozen=True, slots=True)
class Published:
    """One MQTT message as a device sends it."""

    topic: str
    payload: bytes


async def make_devices(db: Database, devices: int, batch: int, now: datetime) -> None:
    """Put elders and their bound devices into a database without any, gateways where wanted."""
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
        if batch > 1:
            await tx.execute(
                """
                INSERT INTO device (id, profile, state, division_code, created_at, updated_at)
                SELECT 'GATE-' || lpad(n::text, 6, '0'), 'sl-gateway-1', 'stock', %s, %s, %s
                FROM generate_series(1, %s) AS n
                """,
                (_DIVISION, since, since, devices // batch),
            )
        await tx.execute(
            """
            INSERT INTO device
                (id, profile, state, elder_id, division_code, gateway_no, created_at, updated_at)
            SELECT 'BENCH-' || lpad(n::text, 6, '0'), 'sl-watch-1', 'bound', elder.id, %s,
                (SELECT no FROM device WHERE id = 'GATE-' || lpad(((n + %s) / %s)::text, 6, '0')),
                %s, %s
            FROM (SELECT id, row_number() OVER () AS n FROM elder) AS elder
            """,
            (_DIVISION, batch - 1, batch, since, since),
        )
        await tx.execute(
            """
            INSERT INTO device_binding (id, device_no, elder_id, bound_at)
            SELECT gen_random_uuid(), no, elder_id, %s FROM device WHERE elder_id IS NOT NULL
            """,
            (since,),
        )
    async with db.dedicated() as conn:
        await conn.execute("ANALYZE elder, device, device_binding")


def messages(load: Load, session: str, now: datetime) -> Iterator[Published]:
    """Yield the frames in the order in which they would be sent, one a second of each device.

    The last second is `now`. The values are those of people who are well: no alarm comes of them.
    """
    chance = random.Random(12349)  # noqa: S311 - heart rates, not secrets
    begin = now - timedelta(seconds=load.messages_each)
    for n in range(load.messages_each):
        at = int((begin + timedelta(seconds=n)).timestamp() * 1000)
        for first in range(1, load.devices + 1, load.batch):
            if load.batch == 1:
                body = f'{{"seq":{n},"sid":"{session}",{_vitals(chance, at + first % 1000)}}}'
                yield Published(f"silverline/v1/BENCH-{first:06d}/vitals", body.encode())
                continue
            elements = ",".join(
                f'{{"device":"BENCH-{number:06d}","seq":{n},"sid":"{session}",'
                f"{_vitals(chance, at + number % 1000)}}}"
                for number in range(first, first + load.batch)
            )
            gateway = first // load.batch + 1
            body = f'{{"batch":[{elements}]}}'
            yield Published(f"silverline/v1/GATE-{gateway:06d}/vitals", body.encode())


def _vitals(chance: random.Random, at: int) -> str:
    pick = chance.random
    return (
        f'"t":{at},"vitals":{{"heart_rate":{62 + int(pick() * 23)},"spo2":{95 + int(pick() * 5)},'
        f'"bp_systolic":{112 + int(pick() * 17)},"bp_diastolic":{70 + int(pick() * 13)},'
        f'"body_temperature":36.{1 + int(pick() * 8)}}}'
    )
