"""Messages from the broker and the TCP listener into the database."""

import asyncio
import gc

from app import wiring
from app.health import serve_health
from app.processes import open_database, stop_on_signals
from app.settings import Settings, SettingsError
from devices.discovery import service as discovery
from ingest.run import IngestRunner
from ingest.transports.listening import PortTaken


async def run(settings: Settings) -> None:
    """Ingest until a signal; what is not committed stays with the broker."""
    # Messages are many small objects that live for a batch: with Python's own thresholds a third of
    # the processor goes to looking for cycles that are not there (2.5 s → 1.7 s for 150,000 rows).
    gc.set_threshold(20_000, 20, 50)
    stop = stop_on_signals()
    async with open_database(settings) as db:
        runner = IngestRunner(
            wiring.ingest_settings(settings), db, wiring.react_to_alarm, wiring.condition_cleared
        )
        health = settings.health
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(runner.run(stop))
                group.create_task(discovery.follow(db, stop))
                group.create_task(serve_health(health.host, health.port, runner.ready, stop))
        except BaseExceptionGroup as raised:
            taken, _ = raised.split(PortTaken)
            if taken is None:
                raise
            raise _in_words(taken) from raised


def _in_words(raised: BaseException) -> SettingsError:
    """The first port of the group, and the setting that names another."""
    while isinstance(raised, BaseExceptionGroup):
        raised = raised.exceptions[0]
    scaip = isinstance(raised, PortTaken) and raised.facts["what"] == "scaip"
    setting = "SILVERLINE_SCAIP__PORT" if scaip else "SILVERLINE_WATCH__PORTS"
    return SettingsError(f"{raised} {setting} names another port.")
