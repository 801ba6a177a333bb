"""A whole ingest process inside of the test, and a device that publishes to its broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import REGISTRY

from ingest.run import IngestRunner, IngestSettings
from ingest.transports.mqtt import Subscription
from kernel.db import Database
from tests.ingest.home import Witness, until


class Running:
    """A runner under way. `kill` ends it as a SIGKILL would: nothing is finished."""

    def __init__(self, runner: IngestRunner, task: "asyncio.Task[None]") -> None:
        self.runner = runner
        self._task = task

    @property
    def subscriptions(self) -> list[Subscription]:
        return self.runner.subscriptions

    async def connected(self) -> None:
        async def up() -> bool:
            return await self.runner.ready() is None

        await until(up)

    async def kill(self) -> None:
        """End it in the middle of what it does; sockets close, nothing is said to the broker."""
        for subscription in self.runner.subscriptions:
            if subscription.connection is not None:
                subscription.connection.abort()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def forget_acknowledgements(self) -> None:
        for subscription in self.runner.subscriptions:
            if subscription.connection is not None:
                subscription.connection.settle = lambda _: None  # type: ignore[method-assign]

    def frames(self, lane: str) -> int:
        return self.runner.lanes[lane].frames

    def taken(self, lane: str) -> int:
        return self.runner.lanes[lane].taken

    def connections(self, lane: str) -> int:
        return next(s.connects for s in self.runner.subscriptions if s.name == lane)


@asynccontextmanager
async def running(
    settings: IngestSettings, db: Database, witness: Witness
) -> AsyncIterator[Running]:
    """Run ingest; on exit it is stopped in order unless it was killed."""
    runner = IngestRunner(settings, db, witness.react, witness.clear)
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    process = Running(runner, task)
    try:
        await process.connected()
        await runner.registry.listening.wait()
        yield process
    finally:
        stop.set()
        if not task.cancelled():
            await asyncio.wait([task], timeout=30)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    if task.done() and not task.cancelled() and task.exception() is not None:
        raise task.exception()  # type: ignore[misc]


class Publisher:
    """A device's MQTT client: `publish` returns when the broker has acknowledged."""

    def __init__(self, port: int, *, client_id: str = "", username: str = "", secret: str = ""):
        self._port = port
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id)
        self._client.max_inflight_messages_set(1000)
        if username:
            self._client.username_pw_set(username, secret)
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._client.on_publish = self._published

    def _published(self, _client: object, _data: object, mid: int, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done, mid)

    def _done(self, mid: int) -> None:
        future = self._waiting.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(None)

    async def __aenter__(self) -> "Publisher":
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.loop_start()

        async def connected() -> bool:
            return self._client.is_connected()

        await until(connected)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def send(self, topic: str, payload: bytes) -> "asyncio.Future[None]":
        info = self._client.publish(topic, payload, qos=1)
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting[info.mid] = future
        return future

    async def publish(self, topic: str, payload: bytes) -> None:
        await self.send(topic, payload)


def gauge(name: str, **labels: str) -> float:
    """The value of a metric of this process."""
    value = REGISTRY.get_sample_value(name, labels)
    return 0.0 if value is None else value
