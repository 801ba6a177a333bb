"""A request that is too large is refused before anything reads it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request

from app.limits import BodyLimit


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.add_middleware(BodyLimit, largest=1000)

    @app.post("/")
    async def length(request: Request) -> int:
        return len(await request.body())

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_what_fits_passes(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", content=b"x" * 1000)
    assert (answer.status_code, answer.json()) == (200, 1000)


async def test_an_announced_excess_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", content=b"x" * 1001)
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


async def test_an_excess_that_is_not_announced_is_refused_too(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    assert (await client.post("/", content=body())).status_code == 413


@pytest.mark.parametrize("length", ["-1", "9" * 5000, "1e3", ""])
async def test_a_nonsense_length_is_refused(client: httpx.AsyncClient, length: str) -> None:
    answer = await client.post("/", content=b"x", headers={"Content-Length": length})
    assert answer.status_code == 413
