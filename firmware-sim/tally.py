"""The books: what was sent, what the broker acknowledged, and the report and alarm log about it."""

import asyncio
import json
import resource
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from sim_clock import iso, now_ms
from wire_v1 import Envelope

PROTOCOLS = ("v1", "zigbee2mqtt")


@dataclass(slots=True)
class Account:
    """Acknowledged messages of one device. `last_seq` is the highest acknowledged number.

    `wills` are last wills that the broker must have published, `wills_possible` those that it may
    have published besides.
    """

    messages: int = 0
    last_seq: int | None = None
    readings: int = 0
    alarms: int = 0
    wills: int = 0
    wills_possible: int = 0

    def as_json(self) -> dict[str, Any]:
        """The account as the report shows it."""
        return {
            "messages": self.messages,
            "last_seq": self.last_seq,
            "readings": self.readings,
            "alarms": self.alarms,
            "wills": self.wills,
            "wills_possible": self.wills_possible,
        }


@dataclass(slots=True)
class Ledger:
    """Sums of one protocol over MQTT. `readings` counts values by metric code."""

    messages: int = 0
    publications: int = 0
    alarms: int = 0
    positions: int = 0
    replayed: int = 0
    rejected: int = 0
    dropped: int = 0
    readings: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class TcpLedger:
    """Sums of the Setracker watches, which have no acknowledgement but the server's answers."""

    devices: int = 0
    connected: set[str] = field(default_factory=set)
    frames_sent: int = 0
    frames_confirmed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    reconnects: int = 0
    positions: int = 0
    alarms: int = 0
    readings: Counter[str] = field(default_factory=Counter)
    unconfirmed: int = 0
    by_device: dict[str, Account] = field(default_factory=dict)


class AlarmLog:
    """One JSON line for every alarm at the moment of its first sending, flushed at once."""

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = path.open("w", encoding="utf-8") if path else None

    def write(
        self, device: str, seq: int | None, kind: str, at_ms: int, active: bool, *, replayed: bool
    ) -> None:
        """`at_ms` is the Unix millisecond of sending; `seq` is null where a protocol has none."""
        if self._file is None:
            return
        line = {
            "device": device,
            "seq": seq,
            "kind": kind,
            "at_ms": at_ms,
            "active": active,
            "replayed": replayed,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No more lines."""
        if self._file is not None:
            self._file.close()


class Tally:
    """Observer of all lines; one for a run."""

    def __init__(self, alarm_log: AlarmLog, *, quiet: bool) -> None:
        self.alarm_log = alarm_log
        self.tcp = TcpLedger()
        self.ledgers = {name: Ledger() for name in PROTOCOLS}
        self.by_device: dict[str, Account] = {}
        self.connected: set[str] = set()
        self.online: set[str] = set()
        self.reconnects = 0
        self.devices = 0
        self.lines = 0
        self.changed = asyncio.Event()  # set whenever a count moves
        self.started_ms = now_ms()
        self.all_connected_ms: int | None = None
        self._quiet = quiet
        self._noticed: deque[str] = deque(maxlen=50)

    # What lines report (mqtt_link.Observer).

    def sent(self, envelope: Envelope, *, replayed: bool) -> None:
        """Written for the first time: its alarms go into the log."""
        if replayed:
            self.ledgers[envelope.protocol].replayed += len(envelope.notes)
        for note in envelope.notes:
            if note.alarm is not None:
                at_ms, active = envelope.sent_at_ms, note.active
                self.alarm_log.write(
                    note.device, note.seq, note.alarm, at_ms, active, replayed=replayed
                )

    def acknowledged(self, envelope: Envelope) -> None:
        """Now it counts as published."""
        ledger = self.ledgers[envelope.protocol]
        ledger.publications += 1
        self.changed.set()
        for note in envelope.notes:
            if note.kind == "bridge":
                continue  # the state of a zigbee2mqtt bridge is no message of a device
            account = self.by_device.setdefault(note.device, Account())
            ledger.messages += 1
            ledger.readings.update(note.metrics)
            ledger.positions += note.kind == "location"
            account.messages += 1
            account.readings += len(note.metrics)
            if note.seq is not None:
                account.last_seq = max(note.seq, account.last_seq or 0)
            if note.alarm is not None and note.active:
                ledger.alarms += 1
                account.alarms += 1

    def rejected(self, envelope: Envelope, code: int) -> None:
        """Counted as rejected, not as published."""
        self.ledgers[envelope.protocol].rejected += len(envelope.notes)
        self.changed.set()
        self.notice(f"The MQTT broker rejected a message with reason 0x{code:02x}.")

    def dropped(self, envelope: Envelope) -> None:
        """Lost in the device, and said so."""
        self.ledgers[envelope.protocol].dropped += len(envelope.notes)
        self.notice("A device's offline buffer is full; its oldest messages are dropped.")

    def up(self, client_id: str) -> None:
        """A line is up; the second time it is a reconnect."""
        if client_id in self.connected:
            self.reconnects += 1
        self.connected.add(client_id)
        self.online.add(client_id)
        self.changed.set()
        if self.all_connected_ms is None and len(self.connected) == self.lines:
            self.all_connected_ms = now_ms()

    def down(self, client_id: str, why: str) -> None:
        """A line is down; a reason that nobody ordered is told once."""
        self.online.discard(client_id)
        self.changed.set()
        # The broker publishes one last will for each device that was cut off.
        if why == "the line was cut":
            self.by_device.setdefault(client_id, Account()).wills += 1
        if why not in ("finished", "the line was cut"):
            # A broker that closes by itself, a reboot that comes back at once: it may tell or not.
            self.in_doubt(client_id)
            self.notice(f"Devices lost the MQTT broker: {why}.")

    def in_doubt(self, client_id: str) -> None:
        """The broker may publish a last will for this, and need not."""
        self.by_device.setdefault(client_id, Account()).wills_possible += 1

    def notice(self, text: str) -> None:
        """Tell the person once, on standard error; two hundred devices share one sentence."""
        if text not in self._noticed:
            self._noticed.append(text)
            print(text, file=sys.stderr, flush=True)

    def progress(self, waiting: int) -> None:
        """One line about the state of things, on standard error."""
        if self._quiet:
            return
        v1, zigbee, tcp = self.ledgers["v1"], self.ledgers["zigbee2mqtt"], self.tcp
        print(
            f"{(now_ms() - self.started_ms) / 1000:6.0f} s  "
            f"{len(self.online)}/{self.lines} lines up  "
            f"{v1.messages + zigbee.messages} messages, "
            f"{v1.alarms + zigbee.alarms + tcp.alarms} alarms, {tcp.frames_sent} TCP frames, "
            f"{waiting} waiting",
            file=sys.stderr,
            flush=True,
        )

    def report(self, *, reachable: int, waiting: int, ended_ms: int) -> dict[str, Any]:
        """The report of the run. `reachable` devices had a line at least once."""
        v1 = self.ledgers["v1"]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        ready = self.all_connected_ms
        return {
            "devices": self.devices,
            "connected": reachable,
            "messages_published": v1.messages,
            "publications": v1.publications,
            "readings_published": v1.readings.total(),
            "alarms_published": v1.alarms,
            "positions_published": v1.positions,
            "replayed": v1.replayed,
            "unacknowledged": waiting,
            "rejected": v1.rejected + self.ledgers["zigbee2mqtt"].rejected,
            "dropped": v1.dropped + self.ledgers["zigbee2mqtt"].dropped,
            "reconnects": self.reconnects,
            "wills": sum(account.wills for account in self.by_device.values()),
            "started_at": iso(self.started_ms),
            "ended_at": iso(ended_ms),
            "all_connected_ms": None if ready is None else ready - self.started_ms,
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "max_rss_mb": round(usage.ru_maxrss / 1024, 1),
            "readings_by_metric": dict(v1.readings),
            "zigbee2mqtt": self._zigbee_report(),
            "tcp": self._tcp_report(),
            "by_device": {name: self.by_device[name].as_json() for name in sorted(self.by_device)},
        }

    def _zigbee_report(self) -> dict[str, Any]:
        ledger = self.ledgers["zigbee2mqtt"]
        return {
            "messages_published": ledger.messages,
            "alarms_published": ledger.alarms,
            "readings_published": ledger.readings.total(),
            "readings_by_metric": dict(ledger.readings),
        }

    def _tcp_report(self) -> dict[str, Any]:
        tcp = self.tcp
        return {
            "devices": tcp.devices,
            "connected": len(tcp.connected),
            "frames_sent": tcp.frames_sent,
            "frames_confirmed": tcp.frames_confirmed,
            "unconfirmed": tcp.unconfirmed,
            "answers_received": tcp.answers.total(),
            "answers_by_command": dict(tcp.answers),
            "commands_received": tcp.commands,
            "reconnects": tcp.reconnects,
            "alarms_published": tcp.alarms,
            "positions_published": tcp.positions,
            "readings_published": tcp.readings.total(),
            "readings_by_metric": dict(tcp.readings),
            "by_device": {name: tcp.by_device[name].as_json() for name in sorted(tcp.by_device)},
        }
