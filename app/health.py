"""/healthz, /readyz and /metrics of a process that has no pages."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

Ready = Callable[[], Awaitable[str | None]]
Remark = Callable[[], str | None]


def _nothing() -> None:
    return None


def health_routes(ready: Ready, remark: Remark = _nothing) -> list[Route]:
    """Return the three routes; `ready` returns None, or a sentence that says what is missing.

    `remark` is what somebody should know of a process that serves nevertheless.
    """

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        if missing := await ready():
            return PlainTextResponse(missing, status_code=503)
        known = remark()
        return PlainTextResponse(f"ready, but {known}" if known else "ready")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/healthz", healthz, name="healthz"),
        Route("/readyz", readyz, name="readyz"),
        Route("/metrics", metrics, name="metrics"),
    ]


async def serve_health(
    host: str, port: int, ready: Ready, stop: asyncio.Event, remark: Remark = _nothing
) -> None:
    """Serve the routes until `stop`; port 0 serves nothing and only waits."""
    if port == 0:
        await stop.wait()
        return
    config = uvicorn.Config(
        Starlette(routes=health_routes(ready, remark)),
        host=host,
        port=port,
        log_config=None,
        lifespan="off",
    )
    await serve(config, stop)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has one place that decides to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(config: uvicorn.Config, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then end gracefully. Raises OSError when the port is taken."""
    server = _Server(config)

    async def watch() -> None:
        await stop.wait()
        server.should_exit = True

    watching = asyncio.create_task(watch())
    try:
        await server.serve()
    except SystemExit as error:
        raise OSError(f"cannot listen on {config.host}:{config.port}") from error
    finally:
        stop.set()
        watching.cancel()
