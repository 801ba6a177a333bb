"""Dead letters of every kind, and the worker that replays them."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from devices.alarms import ClearedCondition, RaisedAlarm
from ingest.deadletters import store
from ingest.deadletters.model import Draft
from ingest.jobs import outbox_handlers
from kernel.db import Database, Tx, fetch_tuples
from kernel.ids import new_id
from kernel.outbox import OutboxItem


def draft(at: datetime, topic: str, payload: bytes, reason: str, **more: str | None) -> Draft:
    """Return a letter of MQTT; its codec is that of protocol v1 unless `more` says otherwise."""
    values: dict[str, str | None] = {
        "transport": "mqtt", "codec": "silverline_v1", "address": "", "detail": "it is so",
    }  # fmt: skip
    values |= more
    return Draft(received_at=at, topic=topic, payload=payload, reason=reason, **values)  # type: ignore[arg-type]


def vitals(device_id: str, at: datetime, seq: int = 1, **body: object) -> Draft:
    """Return a sound message of a device that nobody has registered; `alarm` makes it one."""
    content = {"seq": seq, "t": int(at.timestamp() * 1000)} | (body or {"vitals": {"spo2": 97}})
    kind = "alarm" if "alarm" in body else "vitals"
    return draft(
        at, f"silverline/v1/{device_id}/{kind}", json.dumps(content).encode(), "unknown_device",
        address=device_id, detail=f"{device_id} is not in the registry",
    )  # fmt: skip


def every_kind(now: datetime) -> list[Draft]:
    """Return one letter of each sort that looks different."""
    times = [now - timedelta(minutes=7 * n) for n in range(7)]
    ours = "silverline/v1/W-0193/vitals"
    cut, big = b'{"seq":7,"vitals":{"heart_', b'{"seq":8,"vitals":{' + b" " * 70_000
    watch = b"[3G*8800000099*00CD*UD_LTE,180916,064153,A,22.570512,N,113.8623267,E]"
    binary = b"\xff\xfe\x00\x01" * 40
    return [
        vitals("W-0404", times[0]),
        draft(times[1], ours, cut, "malformed_json", detail="not JSON: unexpected end of data"),
        draft(
            times[2], "zigbee2mqtt/" + "x" * 180, binary, "malformed_json", codec="zigbee2mqtt",
            address="很长的名称" * 12, detail="not JSON",
        ),
        draft(
            times[3], "", watch, "unknown_device", transport="tcp", codec="setracker",
            address="8800000099", detail="8800000099 is not in the registry",
        ),
        draft(times[4], "home/lamp", b"", "unknown_topic", codec=None, detail="no codec serves it"),
        draft(times[5], ours, big, "oversized", detail="70019 bytes are more than 65536"),
        draft(
            times[6], "silverline/v1/W-0193/alarm", b'{"seq":9,"alarm":"sos"}',
            "processing_failed", address="W-0193", detail="KeyError: 'elder'",
        ),
    ]  # fmt: skip


async def put(db: Database, *drafts: Draft) -> list[uuid.UUID]:
    """Keep letters, each one on its own, and return their ids in order."""
    found = []
    for each in drafts:
        async with db.transaction() as tx:
            before = await _ids(tx)
            await store.keep(tx, [each])
            found += [one for one in await _ids(tx) if one not in before]
    return found


async def _ids(tx: Tx) -> list[uuid.UUID]:
    return [row[0] for row in await fetch_tuples(tx, "SELECT id FROM dead_letter ORDER BY id")]


@dataclass
class Worker:
    """Does what the outbox asks for, as the worker process does."""

    db: Database
    rang: list[RaisedAlarm] = field(default_factory=list)

    async def run(self) -> int:
        """Handle everything that waits; return how many items there were."""
        handlers = outbox_handlers(self.db, self._react, self._clear)
        async with self.db.connection() as conn:
            items = await fetch_tuples(
                conn, "SELECT topic, payload FROM outbox WHERE done_at IS NULL ORDER BY id"
            )
        done = 0
        for topic, payload in items:
            if topic in handlers:
                await handlers[topic](OutboxItem(new_id(), topic, None, payload, 1))
                done += 1
        async with self.db.transaction() as tx:
            await tx.execute("UPDATE outbox SET done_at = now()")
        return done

    async def _react(self, tx: Tx, alarm: RaisedAlarm, now: datetime) -> None:
        del tx, now
        self.rang.append(alarm)

    async def _clear(self, tx: Tx, cleared: ClearedCondition, now: datetime) -> None:
        pass
