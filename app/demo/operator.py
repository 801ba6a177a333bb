"""A scripted operator: logs in over HTTP, listens to the live feed, works every incident off.

It uses what a browser uses, nothing else: the login form, `/live`, and the JSON interface with the
session's CSRF token. It records when each event reached it, and what it saw when it looked. A
server that is away for a while costs it time and no incident.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from kernel.clock import utcnow

log = structlog.get_logger(__name__)
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Rung:
    """An alarm that rang: the incident, its how-manieth activation, and when (Unix ms)."""

    incident_id: str
    activation: int
    at_ms: float


@dataclass
class ScriptedOperator:
    """One seat. `run` ends when cancelled; `rung`, `rendered` and `resolved` are its own records.

    `rendered` is how many activations of each incident its lists and pages have shown.
    """

    base_url: str
    username: str
    password: str
    rung: list[Rung] = field(default_factory=list)
    rendered: dict[str, int] = field(default_factory=dict)
    resolved: set[str] = field(default_factory=set)
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    _todo: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _csrf: str = ""

    async def run(self) -> None:
        """Log in, listen and work until cancelled."""
        async with httpx.AsyncClient(
            base_url=self.base_url, timeout=30, trust_env=False, follow_redirects=False
        ) as client:
            await self._login(client)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(client))
                group.create_task(self._work(client))

    async def _login(self, client: httpx.AsyncClient) -> None:
        page = await client.get("/login", headers={"Accept": "application/json"})
        form = {
            "username": self.username,
            "password": self.password,
            "_csrf": page.json()["csrf_token"],
        }
        await client.post("/login", data=form, headers={"Origin": self.base_url})
        answer = await client.get("/api/session")
        answer.raise_for_status()
        self._csrf = answer.json()["csrf_token"]

    async def _listen(self, client: httpx.AsyncClient) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                async with client.stream("GET", "/live", timeout=None) as stream:
                    stream.raise_for_status()
                    async for line in stream.aiter_lines():
                        if line.startswith("data:"):
                            await self._hear(client, json.loads(line[5:]))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _hear(self, client: httpx.AsyncClient, event: dict[str, Any]) -> None:
        at_ms = utcnow().timestamp() * 1000
        name = event.get("event", "")
        if name in ("incident.opened", "incident.repeated"):
            self.rung.append(Rung(event["id"], int(event["activation_count"]), at_ms))
            self._todo.put_nowait(event["id"])
        elif name == "resync":
            # The feed may have had a gap: look at everything that is open.
            for row in (await self._get(client, "/api/incidents"))["items"]:
                self._see(row)
                self._todo.put_nowait(row["id"])
            self.listening.set()

    async def _work(self, client: httpx.AsyncClient) -> None:
        while True:
            incident_id = await self._todo.get()
            if incident_id in self.resolved:
                continue
            try:
                await self._take(client, incident_id)
            except httpx.HTTPError:
                # The server went away, perhaps after it had done what was asked: look again.
                self._todo.put_nowait(incident_id)
                await asyncio.sleep(_PAUSE_SECONDS)

    def _see(self, row: Mapping[str, Any]) -> None:
        seen = self.rendered.get(row["id"], 0)
        self.rendered[row["id"]] = max(seen, int(row["activation_count"]))

    async def _take(self, client: httpx.AsyncClient, incident_id: str) -> None:
        """Claim, send somebody, resolve; another seat that was faster is left to it."""
        state = (await self._get(client, f"/api/incidents/{incident_id}"))["incident"]
        self._see(state)
        if state["status"] == "resolved":
            self.resolved.add(incident_id)
            return
        if state["status"] == "open":
            answer = await self._post(client, incident_id, "acknowledge", version=state["version"])
            if answer is None:
                return
            state = answer
        elif state["holder_username"] != self.username:
            return
        suggested = (await self._get(client, f"/api/incidents/{incident_id}/responders"))["items"]
        if state["severity"] == "critical" and suggested and state["status"] == "acknowledged":
            answer = await self._post(
                client, incident_id, "dispatch",
                version=state["version"], responder_id=suggested[0]["id"],
            )  # fmt: skip
            state = answer or state
            answer = await self._post(client, incident_id, "on_scene", version=state["version"])
            state = answer or state
        answer = await self._post(
            client, incident_id, "resolve",
            version=state["version"], resolution="founded", reason="演示处置完毕",
        )  # fmt: skip
        if answer is None:
            # The state moved on in between (a repeat, a phone): look again.
            self._todo.put_nowait(incident_id)
        else:
            self.resolved.add(incident_id)

    async def _get(self, client: httpx.AsyncClient, path: str) -> dict[str, Any]:
        answer = await client.get(path)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    async def _post(
        self, client: httpx.AsyncClient, incident_id: str, action: str, **body: Any
    ) -> dict[str, Any] | None:
        answer = await client.post(
            f"/api/incidents/{incident_id}/{action}",
            json=body,
            headers={"X-CSRF-Token": self._csrf, "Origin": self.base_url},
        )
        if answer.status_code == httpx.codes.CONFLICT:
            return None
        if answer.is_server_error:
            answer.raise_for_status()
        if answer.is_error:
            log.warning("operator.refused", action=action, status=answer.status_code)
            return None
        result: dict[str, Any] = answer.json()["incident"]
        return result
