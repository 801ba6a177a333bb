"""Platforms that push to a server of the test."""

from collections.abc import Mapping

import httpx
from fastapi import FastAPI

from ingest.push import sources
from ingest.push.api import PushGate
from ingest.push.desk import PushDesk
from kernel.auth.model import SYSTEM
from tests.hotline.serving import Site


class Platform:
    """A platform with a token: `push` sends one request."""

    def __init__(self, client: httpx.AsyncClient, codec: str, token: str) -> None:
        self.client = client
        self.codec = codec
        self.token = token

    async def push(
        self,
        body: bytes | str,
        *,
        codec: str = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        event: str = "",
    ) -> httpx.Response:
        return await self.client.post(
            f"/ingest/http/{codec or self.codec}",
            content=body,
            params=dict(query or {}) | ({"event": event} if event else {}),
            headers={"Authorization": f"Bearer {self.token}", **(headers or {})},
        )


class Platforms:
    """Makes platforms, and changes the desk behind the server."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def replace_gate(self, desk: PushDesk) -> None:
        """Put another desk behind the server's route."""
        app = self.site.server.config.app
        assert isinstance(app, FastAPI)
        app.state.push = PushGate(desk)

    async def add(
        self, codec: str, *, division: str = "", name: str = "platform", days: int | None = None
    ) -> Platform:
        async with self.site.world.db.transaction() as tx:
            made = await sources.add(
                tx, name=name, codec=codec, division=division, actor=SYSTEM,
                now=self.site.world.now, days=days,
            )  # fmt: skip
        return Platform(self.site.client(), codec, made.token)
