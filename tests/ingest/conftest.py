"""Fixtures of ingest: a home with devices, a pipeline without transports, a real mosquitto."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.pipeline import Pipeline
from ingest.registry_cache import RegistryCache
from kernel.db import Database
from kernel.logs import configure_logs
from tests.ingest.broker import Mosquitto
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness


@pytest.fixture
def home(db: Database) -> Home:
    return Home(db)


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def pipeline(db: Database, witness: Witness) -> Pipeline:
    return Pipeline(db, RegistryCache(db), witness.react, witness.clear)


@pytest.fixture
def feed(pipeline: Pipeline) -> Feed:
    """Frames straight into the pipeline, as the lanes would take them."""
    return Feed(pipeline)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real broker with persistence on a free port."""
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """Logs as a process has them: without the values of local variables."""
    configure_logs(json=False)
