"""Every answer that says nothing else is kept by nobody, and is taken for nothing but data."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Response

from app.headers import USUAL, UsualHeaders


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.add_middleware(UsualHeaders)

    @app.get("/data")
    async def data() -> dict[str, str]:
        return {"name": "<script>"}

    @app.get("/script")
    async def script() -> Response:
        return Response("1", headers={"Cache-Control": "public, max-age=31536000"})

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_data_and_errors_carry_all_of_them(client: httpx.AsyncClient) -> None:
    for path in ("/data", "/nothing"):
        headers = (await client.get(path)).headers
        assert {name: headers[name] for name in USUAL} == dict(USUAL)


async def test_what_an_answer_says_itself_stays(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/script")).headers
    assert headers.get_list("cache-control") == ["public, max-age=31536000"]
    assert headers["x-content-type-options"] == "nosniff"
