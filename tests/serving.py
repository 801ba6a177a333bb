"""A real web server for one test: on a free port of its own, and gone at once when it is over."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI


class Server(uvicorn.Server):
    """uvicorn inside of a test: it leaves the signals alone and waits for the word to stop.

    uvicorn looks ten times a second whether it shall stop, and once more for its connections. A
    quarter of a second, in hundreds of tests, is a minute.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Stop as a process does that is told to: answers under way are finished."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(0.005)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()


def listener() -> tuple[socket.socket, str]:
    """Return a listening socket and the address of what will be served on it."""
    made = socket.create_server(("127.0.0.1", 0))
    return made, f"http://127.0.0.1:{made.getsockname()[1]}"


def start(app: FastAPI, on: socket.socket) -> tuple[Server, "asyncio.Task[None]"]:
    """Serve on a socket that listens already: a request may be sent at once, none is refused."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5)
    server = Server(config)
    return server, asyncio.create_task(server.serve(sockets=[on]))


@asynccontextmanager
async def serving(app: FastAPI, on: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve until the end of the block; yields the address."""
    on = on or socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{on.getsockname()[1]}"
    server, task = start(app, on)
    try:
        yield url
    finally:
        server.stop()
        await task
