"""The parts of the downlink: broker, worker, ingest, simulated devices, people who ask."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from devices.commands import jobs, service
from devices.commands.model import Command, CommandState
from devices.commands.publisher import CommandPublisher
from devices.credentials import service as credentials
from devices.registry.model import Device
from kernel.auth.model import Actor
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database, execute
from kernel.outbox import OutboxWorker
from tests.devices.registry.world import add_device, add_person

FIRMWARE_SIM = Path(__file__).parents[3] / "firmware-sim"
SERVICE = ("silverline-ingest", "of-this-test")


@dataclass(frozen=True)
class Login:
    """A registered device and its secret."""

    device: Device
    password: str


class Downlink:
    """A database with people and devices in it, and a worker that sends."""

    def __init__(self, db: Database, cipher: FieldCipher, publisher: CommandPublisher) -> None:
        self.db = db
        self._cipher = cipher
        self.publisher = publisher
        self.worker = OutboxWorker(db, jobs.outbox_handlers(db, publisher))
        self.actor: Actor

    async def person(self) -> None:
        async with self.db.transaction() as tx:
            self.actor = await add_person(tx, utcnow())

    async def device(self, device_id: str, profile: str = "sl-watch-1", **more: str) -> Login:
        now = utcnow()
        async with self.db.transaction() as tx:
            made = await add_device(tx, self.actor, now, device_id, profile=profile, **more)
            secret = await credentials.issue(tx, made.no, cipher=self._cipher, now=now)
        return Login(made, secret.password)

    async def ask(
        self, device: Device, name: str, args: dict[str, Any] | None = None,
        expires_at: datetime | None = None,
    ) -> Command:  # fmt: skip
        async with self.db.transaction() as tx:
            return await service.request(
                tx, device.no, name, args or {}, self.actor, utcnow(), expires_at
            )

    async def command(self, command_id: uuid.UUID) -> Command:
        async with self.db.connection() as conn:
            return await service.get(conn, command_id)

    async def becomes(self, command_id: uuid.UUID, state: CommandState) -> Command:
        async with asyncio.timeout(20):
            while (found := await self.command(command_id)).state is not state:
                await asyncio.sleep(0.02)
        return found

    async def pass_time(self, command_id: uuid.UUID) -> None:
        """As if the pause until the next try were over."""
        async with self.db.transaction() as tx:
            await execute(
                tx, "UPDATE device_command SET due_at = now() WHERE id = %s", (command_id,)
            )

    async def resend(self) -> int:
        """What job and worker do together; how many were tried."""
        await jobs.resend(self.db, utcnow())
        return await self.worker.run_once()


class SimulatedDevices:
    """`firmware-sim` as a process: real devices on the wire."""

    def __init__(self, folder: Path, mqtt_port: int, tcp_port: int = 1) -> None:
        self._folder = folder
        self._mqtt_port, self._tcp_port = mqtt_port, tcp_port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *entries: dict[str, str]) -> None:
        listing = self._folder / "devices.json"
        listing.write_text(json.dumps(list(entries)), "utf-8")
        self._process = subprocess.Popen(
            [
                *(sys.executable, str(FIRMWARE_SIM), "--scenario", "quiet"),
                *("--devices", str(len(entries)), "--credentials", str(listing), "--quiet"),
                *("--broker", f"127.0.0.1:{self._mqtt_port}"),
                *("--tcp", f"127.0.0.1:{self._tcp_port}", "--settle", "2"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ,
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)
            self._process = None


def entry(login: Login, kind: str = "watch", **more: str) -> dict[str, str]:
    """A device in the simulator's list."""
    return {
        "device_id": login.device.id,
        "username": login.device.id,
        "password": login.password,
        "profile": login.device.profile,
        "type": kind,
        **more,
    }


async def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
