"""A scripted operator: logs in over HTTP, listens to the live feed, works every incident off.

It uses what a browser uses, nothing else: the login form, `/live`, and the JSON interface with the
session's CSRF token. It records when each event reached it.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from kernel.clock import utcnow

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rung:
    """An alarm that rang: the incident, its how-manieth activation, and when (Unix ms)."""

    incident_id: str
    activation: int
    at_ms: float


@dataclass
class ScriptedOperator:
    """One seat. `run` ends when cancelled; `rung` and `resolved` are its own records."""

    base_url: str
    username: str
    password: str
    rung: list[Rung] = field(default_factory=list)
    resolved: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
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
            await asyncio.sleep(0.2)

    async def _hear(self, client: httpx.AsyncClient, event: dict[str, Any]) -> None:
        at_ms = utcnow().timestamp() * 1000
        name = event.get("event", "")
        if name in ("incident.opened", "incident.repeated"):
            self.rung.append(Rung(event["id"], int(event["activation_count"]), at_ms))
            self._todo.put_nowait(event["id"])
        elif name == "resync":
            # The feed may have had a gap: look at everything that is open.
            self.listening.set()
            for row in (await client.get("/api/incidents")).json()["items"]:
                self._todo.put_nowait(row["id"])

    async def _work(self, client: httpx.AsyncClient) -> None:
        while True:
            incident_id = await self._todo.get()
            if incident_id not in self.resolved:
                await self._take(client, incident_id)

    async def _take(self, client: httpx.AsyncClient, incident_id: str) -> None:
        """Claim, send somebody, resolve; another seat that was faster is left to it."""
        page = (await client.get(f"/api/incidents/{incident_id}")).json()
        state = page["incident"]
        if state["status"] == "resolved":
            self.resolved.add(incident_id)
            return
        if state["status"] == "open":
            answer = await self._post(client, incident_id, "acknowledge", version=state["version"])
            if answer is None:
                return
            self.claimed.add(incident_id)
            state = answer
        elif incident_id not in self.claimed:
            return
        responders = await client.get(f"/api/incidents/{incident_id}/responders")
        suggested = responders.json()["items"]
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
        if answer.is_error:
            log.warning("operator.refused", action=action, status=answer.status_code)
            return None
        result: dict[str, Any] = answer.json()["incident"]
        return result
