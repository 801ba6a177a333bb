"""The pipeline without a broker: what decoding, rules and the database cost, without MQTT."""

import time
from datetime import datetime

from devices.alarms import ClearedCondition, RaisedAlarm
from ingest.pipeline import Pipeline
from ingest.registry_cache import RegistryCache
from ingest.settings import IngestSettings
from ingest.transports.mqtt_connection import AT_ONCE
from ingest.vitals.model import Columns
from ingest.work import Sheaf, Work
from kernel.clock import utcnow
from kernel.db import Database, Tx, fetch_value
from tools.bench.processes import database_seconds
from tools.bench.report import Measurement
from tools.bench.world import Load, Published, messages


class UnexpectedAlarmError(Exception):
    """An alarm came of readings that are meant to be those of people who are well."""


async def _no_reaction(_tx: Tx, alarm: RaisedAlarm, _now: datetime) -> None:
    raise UnexpectedAlarmError(alarm.kind.value)


async def _not_cleared(_tx: Tx, _condition: ClearedCondition, _now: datetime) -> None:
    return None


async def measure(db: Database, load: Load) -> Measurement:
    """Put messages through the pipeline in batches of the size that ingest uses."""
    pipeline = Pipeline(db, RegistryCache(db), _no_reaction, _not_cleared)
    size = IngestSettings().batch_messages
    waiting = list(messages(load, "pipeline", utcnow()))
    settled = 0

    def settle(sheaf: Sheaf) -> None:
        nonlocal settled
        settled += len(sheaf)

    def sheaf_of(part: list[Published]) -> Sheaf:
        topics, payloads = [m.topic.encode() for m in part], [m.payload for m in part]
        return Sheaf(topics, payloads, [0] * len(part), [0] * len(part), utcnow(), settle)

    server = await database_seconds(db)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(waiting), size // load.batch):
        works: list[Work | Columns] = []
        chunk = waiting[start : start + size // load.batch]
        for at in range(0, len(chunk), AT_ONCE):
            sheaf = sheaf_of(chunk[at : at + AT_ONCE])
            columns, odd = await pipeline.take(sheaf)
            works += await pipeline.prepare([sheaf.delivery(index) for index in odd])
            works += [columns] if columns else []
        await pipeline.store(works, utcnow())
        for work in works:
            work.committed()
    await pipeline.latest.flush(db)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    server = await database_seconds(db) - server
    async with db.connection() as conn:
        rows = await fetch_value(conn, "SELECT count(*) FROM reading")
    if settled != load.frames:
        raise RuntimeError(f"{settled} of {load.frames} frames were settled")
    what = f"frames → codec, rules, storage in batches of {size:,}, one after the other; no broker"
    used = {"ingest": cpu, "database": server}
    return Measurement("pipeline alone", what, load.messages, rows, seconds, used)
