"""What the scheduler and the workers run for ingest: sweeps, care of the readings, replays."""

from datetime import datetime, timedelta

from ingest import store
from ingest.baselines import jobs as baselines
from ingest.deadletters import store as deadletters
from ingest.deadletters.replay import replay_handler
from ingest.deadletters.service import REPLAY_TOPIC
from ingest.detection.jobs import sweeps
from ingest.pipeline import Pipeline
from ingest.raising import Cleared, Raiser, React
from ingest.registry_cache import RegistryCache
from ingest.telemetry.jobs import telemetry_jobs
from ingest.telemetry.model import TelemetrySettings
from kernel.db import Database
from kernel.jobs import Job
from kernel.outbox import Handler

KEEP_IDENTITIES = timedelta(days=45)
"""A device that sends something again after so long stores it twice; none has such a buffer."""
KEEP_SETTLED = timedelta(days=90)
_CHUNK = 20_000


async def prune(db: Database, now: datetime) -> None:
    """Forget old marks of messages and settled dead letters; open dead letters stay."""
    while True:
        async with db.transaction() as tx:
            marks = await store.forget_identities(tx, now - KEEP_IDENTITIES, _CHUNK)
            letters = await deadletters.forget(tx, now - KEEP_SETTLED, _CHUNK)
            await store.forget_listening(tx, now - timedelta(days=7))
        if marks < _CHUNK and letters < _CHUNK:
            return


async def jobs(
    db: Database, react: React, cleared: Cleared, readings: TelemetrySettings | None = None
) -> list[Job]:
    """Return the scheduled jobs of ingest; `react` and `cleared` as for IngestRunner."""
    del db
    return [
        Job("ingest.prune", prune, every_seconds=3600),
        *sweeps(Raiser(react, cleared)),
        *baselines.jobs(Raiser(react, cleared)),
        *telemetry_jobs(readings, baselines.relearn),
    ]


def outbox_handlers(db: Database, react: React, cleared: Cleared) -> dict[str, Handler]:
    """Return the handler of each outbox topic of ingest."""
    pipeline = Pipeline(db, RegistryCache(db), react, cleared)
    return {REPLAY_TOPIC: replay_handler(db, pipeline)}
