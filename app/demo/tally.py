"""What a headless run came to: counted from the database and from the clients' own records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.demo.operator import Rung
from app.demo.simulator import SentAlarm
from kernel.db import Database, Tx, fetch_tuples, fetch_value


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the device's sending to the operator's browser; None without alarms."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """The last line of a headless run."""

    devices: int
    messages_published: int
    messages_ingested: int
    readings_published: int
    readings_stored: int
    duplicates: int
    lost: int
    dead_letters: int
    alarms_published: int
    incidents_opened: int
    incidents_resolved: int
    alarm_to_operator_ms: Latency
    storage_mode: str
    broker: str

    @property
    def clean(self) -> bool:
        """True when nothing was lost, doubled or left open, and alarms did ring."""
        return (
            self.lost == 0
            and self.duplicates == 0
            and self.incidents_opened == self.incidents_resolved
            and self.messages_published > 0
        )

    def as_json(self) -> dict[str, Any]:
        """Return the plain values for JSON."""
        return asdict(self)


def latency(milliseconds: Sequence[float]) -> Latency:
    """Return nearest-rank percentiles, rounded to a tenth of a millisecond."""
    if not milliseconds:
        return Latency(None, None, None, None)
    ordered = sorted(milliseconds)

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)

    return Latency(rank(0.50), rank(0.95), rank(0.99), rank(1.0))


async def count(
    db: Database,
    report: Mapping[str, Any],
    sent: Sequence[SentAlarm],
    rung: Sequence[Rung],
    *,
    storage_mode: str,
    broker: str,
) -> Tally:
    """Compare what the devices say they sent with what is stored, device by device."""
    tcp = report["tcp"]
    devices: Mapping[str, Mapping[str, int]] = {**report["by_device"], **tcp["by_device"]}
    async with db.connection() as conn:
        stored = await _stored(conn)
        times = await _latencies(conn, sent, rung)
    # The broker publishes the last will of a device that was cut off: one message each.
    sent_messages = {device: of["messages"] + of.get("wills", 0) for device, of in devices.items()}
    # Where a connection ended by itself, the broker may have had one more to say: if it is stored,
    # it was said.
    most = {d: sent_messages[d] + of.get("wills_possible", 0) for d, of in devices.items()}
    said = {d: min(max(sent_messages[d], stored.messages.get(d, 0)), most[d]) for d in devices}
    sent_readings = {device: of["readings"] for device, of in devices.items()}
    lost = [_missing(sent_messages, stored.messages), _missing(sent_readings, stored.readings)]
    doubled = [_missing(stored.messages, most), _missing(stored.readings, sent_readings)]
    return Tally(
        devices=int(report["devices"]),
        messages_published=sum(said.values()),
        messages_ingested=sum(stored.messages.values()),
        readings_published=sum(sent_readings.values()),
        readings_stored=sum(stored.readings.values()),
        duplicates=sum(doubled),
        lost=sum(lost),
        dead_letters=stored.dead_letters,
        alarms_published=int(report["alarms_published"]) + int(tcp["alarms_published"]),
        incidents_opened=stored.opened,
        incidents_resolved=stored.resolved,
        alarm_to_operator_ms=latency(times),
        storage_mode=storage_mode,
        broker=broker,
    )


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the database has: messages and readings by device, and the rest in numbers."""

    messages: dict[str, int]
    readings: dict[str, int]
    dead_letters: int
    opened: int
    resolved: int


async def _stored(conn: Tx) -> _Stored:
    messages = await fetch_tuples(
        conn,
        "SELECT d.id, count(*) FROM ingest_message m JOIN device d ON d.no = m.device_no"
        " GROUP BY 1",
    )
    readings = await fetch_tuples(
        conn, "SELECT d.id, count(*) FROM reading r JOIN device d ON d.no = r.device_no GROUP BY 1"
    )
    dead = await fetch_value(conn, "SELECT coalesce(sum(occurrences), 0) FROM dead_letter")
    opened = await fetch_value(conn, "SELECT count(*) FROM incident")
    resolved = await fetch_value(conn, "SELECT count(*) FROM incident WHERE status = 'resolved'")
    return _Stored(
        {row[0]: row[1] for row in messages},
        {row[0]: row[1] for row in readings},
        int(dead),
        int(opened),
        int(resolved),
    )


def _missing(wanted: Mapping[str, int], found: Mapping[str, int]) -> int:
    """Return how many of what is wanted are not found, device by device."""
    return sum(max(0, number - found.get(device, 0)) for device, number in wanted.items())


async def _latencies(conn: Tx, sent: Sequence[SentAlarm], rung: Sequence[Rung]) -> list[float]:
    """Match each ring with the alarm behind it: by the device's own record, else by its time.

    An alarm that a rule found in readings has no line in the devices' record: its clock starts with
    the device's time of the reading.
    """
    numbered = {(a.device, a.seq): a.at_ms for a in sent if a.seq is not None}
    rows = await fetch_tuples(
        conn,
        "SELECT a.incident_id::text,"
        " row_number() OVER (PARTITION BY a.incident_id ORDER BY a.at, a.id),"
        " d.id, al.kind, al.seq, extract(epoch FROM al.device_time) * 1000"
        " FROM incident_activation a JOIN alarm al ON al.id = a.alarm_id"
        " LEFT JOIN device d ON d.no = al.device_no",
    )
    first_heard: dict[tuple[str, int], float] = {}
    for ring in rung:
        key = (ring.incident_id, ring.activation)
        first_heard[key] = min(ring.at_ms, first_heard.get(key, math.inf))
    times = []
    for incident_id, number, device, kind, seq, device_ms in rows:
        heard = first_heard.get((incident_id, int(number)))
        if heard is None:
            continue
        began = numbered.get((device, seq))
        if began is None:
            # Watches without numbers: the last alarm of that kind that was sent before it rang.
            earlier = (
                a.at_ms
                for a in sent
                if a.seq is None and a.device == device and a.kind == kind and a.at_ms <= heard
            )
            began = max(earlier, default=float(device_ms) if device_ms else None)
        if began is not None:
            times.append(heard - began)
    return times
