"""An elder's home with devices, and a witness of what ingest makes of their messages."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from devices.alarms import ClearedCondition, RaisedAlarm
from kernel.db import Database, Tx, fetch_tuples, fetch_value
from kernel.ids import new_id

PLACE = "150105002003"


def millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def body(**fields: Any) -> bytes:
    """A payload; a `t` that is a datetime becomes milliseconds."""
    if isinstance(fields.get("t"), datetime):
        fields["t"] = millis(fields["t"])
    return json.dumps(fields).encode()


@dataclass
class Witness:
    """Stands where incidents would: writes down what it is told, and can be told to fail.

    What it has seen of a transaction that was rolled back does not count, so whoever asks compares
    with the table `alarm`; `raised` has everything, attempts included.
    """

    raised: list[RaisedAlarm] = field(default_factory=list)
    cleared: list[ClearedCondition] = field(default_factory=list)
    before: Callable[[Tx, RaisedAlarm], Awaitable[None]] | None = None

    async def react(self, tx: Tx, alarm: RaisedAlarm, now: datetime) -> None:
        del now
        if self.before is not None:
            await self.before(tx, alarm)
        self.raised.append(alarm)

    async def clear(self, tx: Tx, condition: ClearedCondition, now: datetime) -> None:
        del tx, now
        self.cleared.append(condition)

    @property
    def kinds(self) -> list[str]:
        return [alarm.kind.value for alarm in self.raised]


class Home:
    """Makes elders and devices, and counts what was stored."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._made = datetime(2026, 1, 1, tzinfo=UTC)

    async def elder(self, *, lat: float = 40.7922, lon: float = 111.6871) -> uuid.UUID:
        elder_id = new_id()
        async with self.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO elder (id, name, sex, birth_date, division_code, lat, lon, created_at,"
                " updated_at) VALUES (%s, '云桂兰', 'female', %s, %s, %s, %s, %s, %s)",
                (elder_id, date(1941, 4, 12), PLACE, lat, lon, self._made, self._made),
            )
        return elder_id

    async def device(
        self,
        device_id: str,
        profile: str = "sl-watch-1",
        *,
        elder: uuid.UUID | None = None,
        gateway: int | None = None,
        alias: tuple[str, str] | None = None,
        state: str | None = None,
    ) -> int:
        """Register a device and return its number; with an elder it is bound."""
        wanted = state or ("bound" if elder else "stock")
        async with self.db.transaction() as tx:
            no = await fetch_value(
                tx,
                "INSERT INTO device (id, profile, state, elder_id, gateway_no, division_code, room,"
                " created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, '客厅', %s, %s)"
                " RETURNING no",
                (
                    device_id, profile, wanted, elder, gateway, "150105000000",
                    self._made, self._made,
                ),
            )  # fmt: skip
            if elder is not None:
                await tx.execute(
                    "INSERT INTO device_binding (id, device_no, elder_id, room, bound_at)"
                    " VALUES (%s, %s, %s, '客厅', %s)",
                    (new_id(), no, elder, self._made),
                )
            if alias is not None:
                await tx.execute(
                    "INSERT INTO device_alias (codec, address, device_no) VALUES (%s, %s, %s)",
                    (*alias, no),
                )
        return int(no)

    async def watch(self, elder: uuid.UUID, **settings: Any) -> None:
        names = list(settings)
        async with self.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO elder_watch (elder_id, updated_at) VALUES (%s, %s)"
                " ON CONFLICT DO NOTHING",
                (elder, self._made),
            )
            for name in names:
                await tx.execute(
                    f"UPDATE elder_watch SET {name} = %s WHERE elder_id = %s",  # noqa: S608
                    (settings[name], elder),
                )

    async def set(self, no: int, **columns: Any) -> None:
        async with self.db.transaction() as tx:
            for name, value in columns.items():
                await tx.execute(
                    f"UPDATE device SET {name} = %s WHERE no = %s",  # noqa: S608
                    (value, no),
                )

    async def value(self, sql: str, *params: Any) -> Any:
        async with self.db.connection() as conn:
            return await fetch_value(conn, sql, params)  # type: ignore[arg-type]

    async def rows(self, sql: str, *params: Any) -> list[Any]:
        async with self.db.connection() as conn:
            return list(await fetch_tuples(conn, sql, params))  # type: ignore[arg-type]

    async def count(self, table: str) -> int:
        return int(await self.value(f"SELECT count(*) FROM {table}"))  # noqa: S608

    async def letters(self) -> list[tuple[str, str, int]]:
        """(reason, address, occurrences) of every dead letter."""
        found = await self.rows(
            "SELECT reason, address, occurrences FROM dead_letter ORDER BY received_at, reason"
        )
        return [(row[0], row[1], row[2]) for row in found]

    async def alarms(self) -> list[tuple[str, str, str]]:
        """(kind, severity, source) of every alarm, in order."""
        found = await self.rows("SELECT kind, severity, source FROM alarm ORDER BY id")
        return [(row[0], row[1], row[2]) for row in found]

    async def states(self) -> dict[tuple[str, str], Any]:
        found = await self.rows("SELECT subject, rule, state FROM detection_state")
        return {(row[0], row[1]): row[2] for row in found}


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait for a condition; an AssertionError when it does not come true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true"
        await asyncio.sleep(0.02)
