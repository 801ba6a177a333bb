"""A run of the device simulator against an installation: what the devices themselves recorded."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.demo.simulator import FIRMWARE_SIM, SentAlarm
from app.embedded.children import spawn
from tests.faults.installation import PATIENCE, Installation


@dataclass(frozen=True)
class Sent:
    """The devices' own books of a run. `messages` and `readings` are by device, acknowledged ones.

    A Setracker watch has no acknowledgement for most of its frames: `frames` is how many were
    written, of which at least `messages` have arrived. `wills` is what a broker says of devices
    that were cut off; `wills_possible` is what it may say besides: of a connection that timed out
    or ended by itself, where only the broker knows whether the device was in and is missed.
    """

    messages: dict[str, int]
    readings: dict[str, int]
    wills: dict[str, int]
    wills_possible: dict[str, int]
    watches: dict[str, int]
    frames: int
    alarms: list[SentAlarm]
    report: dict[str, Any]

    def plus(
        self, messages: Counter[str], readings: Counter[str], alarms: Sequence[SentAlarm]
    ) -> "Sent":
        """The same with what somebody else has sent in the names of these devices."""
        return replace(
            self,
            messages=Counter(self.messages) + messages,
            readings=Counter(self.readings) + readings,
            alarms=[*self.alarms, *alarms],
        )


class Load:
    """Devices that publish until `finish`."""

    def __init__(
        self, installation: Installation, scenario: str, rate: float, number: int, watches: bool
    ) -> None:
        folder = installation.stack.data_dir
        devices = folder / "devices.json"
        if not watches:
            devices = _without_watches(devices)
        self._report = folder / f"report-{number}.json"
        self._alarms = folder / f"alarms-{number}.jsonl"
        self._log = folder / f"simulator-{number}.log"
        stack = installation.stack
        self._command = [
            sys.executable, str(FIRMWARE_SIM), "--scenario", scenario, "--rate", str(rate),
            "--credentials", str(devices), "--seed", str(number),
            "--broker", f"127.0.0.1:{stack.mqtt_port}", "--tcp", f"127.0.0.1:{stack.watch_port}",
            "--report", str(self._report), "--alarm-log", str(self._alarms),
            "--mqtt", "5" if installation.broker == "mosquitto" else "4",
            "--settle", str(PATIENCE), "--quiet",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: Sent | None = None

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = spawn(self._command, log=log.fileno())

    def abandon(self) -> None:
        """End it without waiting for anything."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def alarms(self) -> list[SentAlarm]:
        """The alarms sent so far, those that say that a condition is over left out."""
        if not self._alarms.exists():
            return []
        lines = self._alarms.read_text("utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.endswith("}")]
        return [
            SentAlarm(e["device"], e["seq"], e["kind"], e["at_ms"]) for e in entries if e["active"]
        ]

    async def finish(self) -> Sent:
        """Let nothing new happen, wait until everything is acknowledged, and read the books."""
        if self._sent is None:
            self._sent = await self._finish()
        return self._sent

    async def _finish(self) -> Sent:
        assert self._process is not None
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, PATIENCE + 30)
        report = json.loads(self._report.read_text("utf-8"))
        told = self._log.read_text("utf-8")
        for what in ("unacknowledged", "rejected", "dropped"):
            assert report[what] == 0, f"{what}: {report[what]}\n{told}"
        assert report["connected"] == report["devices"], told
        own, tcp = report["by_device"], report["tcp"]
        return Sent(
            messages={device: of["messages"] for device, of in own.items()},
            readings={device: of["readings"] for device, of in own.items()},
            wills={device: of["wills"] for device, of in own.items()},
            wills_possible={device: of["wills_possible"] for device, of in own.items()},
            watches={device: of["messages"] for device, of in tcp["by_device"].items()},
            frames=tcp["frames_sent"],
            alarms=self.alarms(),
            report=report,
        )


def _without_watches(devices: Path) -> Path:
    """A list with those devices only that speak MQTT."""
    listed = json.loads(devices.read_text("utf-8"))
    chosen = devices.with_name("devices-mqtt.json")
    chosen.write_text(json.dumps([one for one in listed if one["type"] != "setracker"]), "utf-8")
    return chosen


def scenario(name: str) -> str:
    """A scenario of the simulator, or one of ours beside this file."""
    own = Path(__file__).parent / "scenarios" / f"{name}.toml"
    return str(own) if own.exists() else name
