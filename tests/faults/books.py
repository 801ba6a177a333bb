"""What is stored, held against what the devices and the operators recorded: exactly, by device."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.demo.operator import ScriptedOperator
from devices.messages import Message
from hotline.incidents import store as incidents
from hotline.incidents.machine import replay
from ingest.identity import Arrival, identify
from kernel.clock import utcnow
from kernel.db import Database, fetch_tuples
from tests.faults.load import Sent

WILL = b'{"online":false}'


@dataclass(frozen=True)
class Stored:
    """What the database holds by device; the last wills, which no device sends, are apart."""

    messages: Mapping[str, int]
    wills: Mapping[str, int]
    readings: Mapping[str, int]
    letters: int

    def since(self, before: "Stored") -> "Stored":
        return Stored(
            _minus(self.messages, before.messages),
            _minus(self.wills, before.wills),
            _minus(self.readings, before.readings),
            self.letters - before.letters,
        )


@dataclass(frozen=True)
class Balance:
    """What is missing and what is too many, messages and readings taken together.

    `watches` are what is stored of watches that speak Setracker, with the bounds that the protocol
    allows: what was confirmed, and what was written. So are `wills`: those that the broker had to
    publish, those that are stored, and those that it may have published.
    """

    sent: int
    stored: int
    lost: int
    doubled: int
    letters: int
    wills: tuple[int, int, int]
    wills_lost: int
    wills_invented: int
    watches: tuple[int, int, int]

    def __str__(self) -> str:
        confirmed, found, written = self.watches
        told, kept, most = self.wills
        return (
            f"sent {self.sent} stored {self.stored} doubled {self.doubled} lost {self.lost}"
            f" · wills {told} ≤ {kept} ≤ {most}"
            f" · watches {confirmed} ≤ {found} ≤ {written} · dead letters {self.letters}"
        )


def _minus(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {device: number - other.get(device, 0) for device, number in one.items()}


def _missing(wanted: Mapping[str, int], found: Mapping[str, int]) -> int:
    return sum(max(0, number - found.get(device, 0)) for device, number in wanted.items())


async def stored(db: Database) -> Stored:
    """Count what is stored now."""
    async with db.connection() as conn:
        devices = await fetch_tuples(conn, "SELECT no, id FROM device")
        # A last will has neither number nor time: its identity begins with a hash of its content.
        marks = [f"{_will_mark(no, device):016x}" for no, device in devices]
        messages = await fetch_tuples(
            conn,
            "SELECT d.id, count(*) FILTER (WHERE NOT will), count(*) FILTER (WHERE will) FROM ("
            "  SELECT m.device_no, left(replace(m.identity::text, '-', ''), 16) = w.mark AS will"
            "  FROM ingest_message m JOIN unnest(%s::bigint[], %s::text[]) AS w(no, mark)"
            "  ON w.no = m.device_no) AS m JOIN device d ON d.no = m.device_no GROUP BY 1",
            ([no for no, _ in devices], marks),
        )
        readings = await fetch_tuples(
            conn,
            "SELECT d.id, count(*) FROM reading r JOIN device d ON d.no = r.device_no GROUP BY 1",
        )
        letters = await fetch_tuples(
            conn, "SELECT coalesce(sum(occurrences), 0)::int FROM dead_letter"
        )
    return Stored(
        {device: number for device, number, _ in messages},
        {device: wills for device, _, wills in messages},
        dict(readings),
        letters[0][0],
    )


def _will_mark(no: int, device: str) -> int:
    arrival = Arrival(utcnow(), 1)
    return identify(no, Message(device, "status"), WILL, arrival).key.int >> 64


def balance(sent: Sent, found: Stored) -> Balance:
    """Compare device by device, in both directions."""
    of_watches = sum(found.messages.get(device, 0) for device in sent.watches)
    own = {d: n for d, n in found.messages.items() if d not in sent.watches}
    readings = {d: n for d, n in found.readings.items() if d not in sent.watches}
    wills = {d: n for d, n in found.wills.items() if d not in sent.watches}
    most = {d: n + sent.wills_possible[d] for d, n in sent.wills.items()}
    return Balance(
        sent=sum(sent.messages.values()),
        stored=sum(own.values()),
        lost=_missing(sent.messages, own)
        + _missing(sent.readings, readings)
        + _missing(sent.watches, found.messages),
        doubled=_missing(own, sent.messages)
        + _missing(readings, sent.readings)
        + max(0, of_watches - sent.frames),
        letters=found.letters,
        wills=(sum(sent.wills.values()), sum(wills.values()), sum(most.values())),
        wills_lost=_missing(sent.wills, wills),
        wills_invented=_missing(wills, most),
        watches=(sum(sent.watches.values()), of_watches, sent.frames),
    )


async def check_alarms(db: Database, sent: Sent, since: datetime, *, complete: bool) -> None:
    """Every alarm of a device is on record once; one of an elder has its place in an incident.

    Not `complete`: one may be missing, none may be there that was not sent.
    """
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT d.id, a.seq, a.kind FROM alarm a JOIN device d ON d.no = a.device_no"
            " WHERE a.source = 'device' AND a.seq IS NOT NULL AND a.received_at >= %s",
            (since,),
        )
        homeless = await fetch_tuples(
            conn,
            "SELECT a.kind, a.source FROM alarm a"
            " WHERE a.suppressed IS NULL AND a.received_at >= %s AND a.severity <> 'technical'"
            " AND NOT EXISTS (SELECT FROM incident_activation x WHERE x.alarm_id = a.id)",
            (since,),
        )
    on_record = Counter((device, seq, kind) for device, seq, kind in rows)
    signalled = Counter((a.device, a.seq, a.kind) for a in sent.alarms if a.seq is not None)
    assert on_record - signalled == Counter()
    assert not complete or signalled - on_record == Counter()
    assert homeless == []


async def check_incidents(db: Database) -> None:
    """Each came of an alarm, and its timeline leads to its state by way of one claim at a time."""
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT i.id, i.status, i.version, i.activation_count,"
            " (SELECT count(*) FROM incident_activation x JOIN alarm a ON a.id = x.alarm_id"
            "  WHERE x.incident_id = i.id) FROM incident i",
        )
        for incident_id, status, version, counted, activations in rows:
            assert counted == activations > 0
            events = await incidents.events(conn, incident_id)
            assert replay(events) == (status, version)
            kinds = Counter(event.kind for event in events)
            assert kinds["incident.acknowledged"] <= 1 + kinds["incident.released"]
        opened = await fetch_tuples(
            conn,
            "SELECT kind, count(*) FROM incident WHERE status <> 'resolved'"
            " GROUP BY coalesce(elder_id::text, device_no::text), kind HAVING count(*) > 1",
        )
    assert opened == []


async def check_rung(db: Database, seats: Sequence[ScriptedOperator], since: datetime) -> None:
    """Every activation of the run rang at a seat, or was on a page that a seat has looked at."""
    rung = {(ring.incident_id, ring.activation) for seat in seats for ring in seat.rung}
    rendered: Counter[str] = Counter()
    for seat in seats:
        for incident_id, number in seat.rendered.items():
            rendered[incident_id] = max(rendered[incident_id], number)
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT id::text, activation_count FROM incident WHERE last_activation_at >= %s",
            (since,),
        )
    missed = [
        (incident_id, number)
        for incident_id, count in rows
        for number in range(1, count + 1)
        if (incident_id, number) not in rung and rendered[incident_id] < number
    ]
    assert missed == []
