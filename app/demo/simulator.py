"""Runs `firmware-sim` as a child: it knows us only by the wire."""

import json
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.embedded.children import EmbeddedError, spawn

# Which devices a person may ask for an alarm in the demonstration.
_ABLE = {
    "fall": ("watch", "fall_detector"),
    "sos": ("pendant", "watch"),
    "smoke": ("smoke",),
    "gas": ("gas",),
    "water_leak": ("leak",),
}
FIRMWARE_SIM = Path(__file__).parent.parent.parent / "firmware-sim"


@dataclass(frozen=True, slots=True)
class SentAlarm:
    """An alarm as the device recorded it; `at_ms` is Unix milliseconds of the moment of sending.

    `seq` is None where the protocol has no numbers (Setracker, zigbee2mqtt).
    """

    device: str
    seq: int | None
    kind: str
    at_ms: float


class Simulator:
    """One run of the simulator with its report and its alarm log."""

    def __init__(self, folder: Path, mqtt_port: int, watch_port: int) -> None:
        self._credentials = folder / "devices.json"
        self._report = folder / "report.json"
        self._alarms = folder / "alarms.jsonl"
        self._mqtt_port, self._watch_port = mqtt_port, watch_port
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        *,
        scenario: str,
        devices: int | None,
        seconds: float | None,
        seed: int = 1,
        control: bool = False,
    ) -> None:
        """Begin to publish: so many devices, None is all of them; with `control`, `ask` works.

        Raises EmbeddedError without simulator.
        """
        if not FIRMWARE_SIM.is_dir():
            raise EmbeddedError(
                "firmware-sim is missing: the demonstration needs the whole checkout"
            )
        for stale in (self._report, self._alarms):
            stale.unlink(missing_ok=True)
        command = [
            sys.executable, str(FIRMWARE_SIM), "--scenario", scenario,
            "--broker", f"127.0.0.1:{self._mqtt_port}", "--tcp", f"127.0.0.1:{self._watch_port}",
            "--credentials", str(self._credentials), "--report", str(self._report),
            "--alarm-log", str(self._alarms), "--seed", str(seed),
        ]  # fmt: skip
        if devices is not None:
            command += ["--devices", str(devices)]
        if seconds is not None:
            command += ["--seconds", str(seconds)]
        if control:
            command.append("--control")
        self.process = spawn(command, log=subprocess.DEVNULL, talk=control)

    def ask(self, kind: str) -> str | None:
        """Let some device raise an alarm of the kind; return its id, None when none can.

        None in test mode: whoever asks wants to see what an alarm does.
        """
        able = [
            entry["device_id"]
            for entry in json.loads(self._credentials.read_text("utf-8"))
            if entry["type"] in _ABLE.get(kind, ()) and not entry.get("in_test")
        ]
        if not able or self.process is None or self.process.stdin is None:
            return None
        device_id: str = secrets.choice(able)
        self.process.stdin.write(f"alarm {device_id} {kind}\n".encode())
        self.process.stdin.flush()
        return device_id

    def alarms(self) -> list[SentAlarm]:
        """Return the active alarms that were sent until now."""
        if not self._alarms.exists():
            return []
        lines = self._alarms.read_text("utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.strip()]
        return [
            SentAlarm(e["device"], e["seq"], e["kind"], e["at_ms"])
            for e in entries
            if e.get("active", True)
        ]

    def report(self) -> dict[str, Any]:
        """Return the report of a run that has ended."""
        report: dict[str, Any] = json.loads(self._report.read_text("utf-8"))
        return report
