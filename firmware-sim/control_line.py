"""Commands on standard input while the simulator runs (`--control`), one per line:

    alarm <device_id> <kind>        raise an alarm now
    clear <device_id> <kind>        say that it is over
    unplug <device_id> <seconds>    cut the line of a device
    list                            the devices and their state
    quit                            end the run in order

Every line is answered by one JSON line on standard output, `{"ok": true, …}` or `{"ok": false,
"error": "…"}`. The end of standard input ends the run too: a program that started the simulator and
died must not leave two hundred devices behind.
"""

import asyncio
import json
import os
import threading
from collections.abc import Callable
from typing import Any

from fleet import Fleet, Simulated
from sim_clock import now_ms
from wire_v1 import ALARM_KINDS


class ControlError(ValueError):
    """A command that cannot be done; the text is a sentence for a person."""


class ControlLine:
    """Reads commands and carries them out on `fleet`; `stop` ends the run."""

    def __init__(self, fleet: Fleet, stop: Callable[[], None]) -> None:
        self._fleet = fleet
        self._stop = stop
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to read."""
        # A thread and os.read: standard input may be a pipe, a terminal or a file, and a thread
        # that waits inside sys.stdin would hold its lock when the interpreter ends.
        threading.Thread(target=self._read, daemon=True).start()

    def answer(self, line: str) -> dict[str, Any]:
        """Carry out one command; never raises."""
        try:
            return {"ok": True, **self._do(line.split())}
        except ControlError as error:
            return {"ok": False, "error": str(error)}

    def _read(self) -> None:
        rest = b""
        while data := os.read(0, 4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._hand_over(self._take, line.decode("utf-8", "replace").strip())
        self._hand_over(self._stop)

    def _hand_over(self, action: Callable[..., None], *given: str) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action, *given)

    def _take(self, line: str) -> None:
        if line:
            print(json.dumps(self.answer(line), ensure_ascii=False), flush=True)

    def _do(self, words: list[str]) -> dict[str, Any]:
        match words:
            case ["alarm" | "clear", device_id, kind]:
                return self._alarm(self._device(device_id), kind, active=words[0] == "alarm")
            case ["unplug", device_id, seconds]:
                return self._unplug(self._device(device_id), seconds)
            case ["list"]:
                return {"devices": [_state(device) for device in self._fleet.devices.values()]}
            case ["quit"]:
                self._stop()
                return {}
        raise ControlError(
            "Commands are: alarm <device_id> <kind>, clear <device_id> <kind>, "
            "unplug <device_id> <seconds>, list, quit."
        )

    def _device(self, device_id: str) -> Simulated:
        try:
            return self._fleet.devices[device_id]
        except KeyError:
            raise ControlError(f"There is no device {device_id}.") from None

    def _alarm(self, device: Simulated, kind: str, *, active: bool) -> dict[str, Any]:
        if kind not in ALARM_KINDS:
            raise ControlError(f"There is no alarm kind {kind}.")
        if not device.knows(kind):
            raise ControlError(f"Device {device.identity.device_id} has no word for {kind}.")
        device.alarm(kind, active=active)
        answer = {"device": device.identity.device_id, "kind": kind, "active": active}
        return {**answer, "seq": device.seq, "at_ms": now_ms()}

    def _unplug(self, device: Simulated, seconds: str) -> dict[str, Any]:
        try:
            length = float(seconds)
        except ValueError:
            length = -1.0
        if not 0 < length <= 86_400:
            raise ControlError("The number of seconds must be from 0 to 86400.")
        device.cut(length)
        line = device.identity.gateway or device.identity.device_id
        return {"device": device.identity.device_id, "line": line, "seconds": length}


def _state(device: Simulated) -> dict[str, Any]:
    identity = device.identity
    return {
        "device": identity.device_id,
        "type": identity.type,
        "gateway": identity.gateway,
        "online": device.online,
        "last_seq": device.seq,
    }
