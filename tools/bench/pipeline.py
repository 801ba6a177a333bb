"""The pipeline without a broker: what decoding, rules and the database cost, without MQTT."""

import time
from datetime import datetime

from devices.alarms import ClearedCondition, RaisedAlarm
from devices.codecs import codec_for_topic
from devices.messages import Frame
from ingest.identity import Arrival
from ingest.pipeline import Pipeline
from ingest.registry_cache import RegistryCache
from ingest.settings import IngestSettings
from ingest.work import Delivery, Work
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

    def settle(_work: Work) -> None:
        nonlocal settled
        settled += 1

    def delivery(message: Published) -> Delivery:
        frame = Frame(message.payload, message.topic)
        codec = codec_for_topic(message.topic)
        return Delivery(frame, "mqtt", codec, Arrival(utcnow()), settle)

    server = await database_seconds(db)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(waiting), size):
        chunk = [delivery(message) for message in waiting[start : start + size]]
        works = await pipeline.prepare(chunk)
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
    what = f"frames → codec, rules, storage in batches of {size:,}; no broker, no MQTT client"
    used = {"ingest": cpu, "database": server}
    return Measurement("pipeline alone", what, load.messages, rows, seconds, used)
