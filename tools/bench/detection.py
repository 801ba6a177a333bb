"""How soon an illness is noticed, and how often somebody who is well rings.

    python -m tools.bench.detection [--people N] [--days N] [--seed N]

The simulator writes weeks of readings with illnesses whose beginning is known. They go through what
runs in production: fixed limits reading by reading, baselines learned and swept at the times of the
scheduler's jobs, on a real database. Printed are, for each illness, how many were noticed and the
delay from its first sign, by fixed limits alone and with baselines beside them, and the false
alarms per elder and week.
"""

import argparse
import asyncio
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from devices.alarms import ClearedCondition, RaisedAlarm
from devices.metrics import METRICS
from ingest.baselines import jobs
from ingest.detection import defaults, rules
from ingest.detection.model import Measured, Raise, State
from ingest.raising import Raiser
from ingest.telemetry.model import ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.rollup import roll_up
from ingest.telemetry.store import copy_readings
from kernel.clock import utcnow
from kernel.db import Database, Tx, fetch_tuples
from tools.bench.database import bench_database, bench_server
from tools.bench.world import make_devices

_SIMULATOR = Path(__file__).parents[2] / "firmware-sim"
_LEARNING = timedelta(days=14)
_SWEEP = timedelta(minutes=5)
_QUARTER = timedelta(minutes=15)
_AFTERWARDS = timedelta(days=2)
"""Somebody who has been ill is not well the minute after: what rings then is not false."""
_ROWS_AT_ONCE = 50_000


class BenchError(Exception):
    """The run cannot be made."""


@dataclass(frozen=True, slots=True)
class Illness:
    """Who fell ill with what, from when to when."""

    person: int
    what: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Past:
    """Readings of each person (numbered from 1), oldest first, and what befell them."""

    readings: dict[int, list[Measured]]
    illnesses: list[Illness]
    start: datetime
    end: datetime


@dataclass(slots=True)
class Rung:
    """When a way of noticing rang, by person."""

    title: str
    at: dict[int, list[datetime]] = field(default_factory=lambda: defaultdict(list))


def simulate(people: int, days: int, seed: int) -> Past:
    """Have the simulator write the past. Raises BenchError with its own sentence."""
    with tempfile.TemporaryDirectory(prefix="silverline-bench-") as folder:
        path = Path(folder) / "history.csv"
        done = subprocess.run(
            [
                *(sys.executable, str(_SIMULATOR), "--scenario", "illness", "--seed", str(seed)),
                *("--devices", str(people), "--seconds", str(days * 86_400)),
                *("--history", str(path)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(done.stderr.strip())
        onsets = [json.loads(line) for line in done.stdout.splitlines()]
        readings: dict[int, list[Measured]] = defaultdict(list)
        with path.open(encoding="utf-8", newline="") as file:
            for name, at_ms, metric, value in csv.reader(file):
                readings[_number(name)].append(Measured(metric, float(value), _time(int(at_ms))))
    times = [each.at for person in readings.values() for each in (person[0], person[-1])]
    return Past(readings, [_illness(each) for each in onsets], min(times), max(times))


def _number(device: str) -> int:
    return int(device.rpartition("-")[2])


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _illness(onset: dict[str, Any]) -> Illness:
    # One that does not end has its end far behind any calendar.
    until = min(onset["until_ms"], onset["since_ms"] + 400 * 86_400_000)
    return Illness(_number(onset["device"]), onset["what"], _time(onset["since_ms"]), _time(until))


def by_limits(past: Past) -> Rung:
    """What fixed limits ring for, reading by reading, as ingest applies them."""
    rung = Rung("fixed limits")
    for person, readings in past.readings.items():
        states: dict[str, State | None] = {}
        for reading in readings:
            rule = defaults.VITALS.get(reading.metric)
            if rule is None:
                continue
            result = rules.vital(states.get(rule.metric), reading, rule, rule.limits)
            states[rule.metric] = result.state
            if any(isinstance(event, Raise) for event in result.events):
                rung.at[person].append(reading.at)
    return rung


async def by_baselines(db: Database, past: Past) -> Rung:
    """What baselines warn of, with the jobs at the times at which the scheduler runs them."""
    rung = Rung("baselines")

    async def react(_: Tx, alarm: RaisedAlarm, now: datetime) -> None:
        rung.at[alarm.device_no or 0].append(now)

    async def cleared(_tx: Tx, _condition: ClearedCondition, _now: datetime) -> None:
        return None

    raiser = Raiser(react, cleared)
    await _store(db, past)
    moment = past.start + _LEARNING
    while moment < past.end:
        if moment.minute < _SWEEP.total_seconds() / 60:
            await jobs.learn_turn(db, raiser, moment)
        # Nothing new can be found between two quarters of an hour.
        if moment.minute % 15 < _SWEEP.total_seconds() / 60:
            await jobs.sweep_deviations(db, raiser, moment)
        moment += _SWEEP
    return rung


async def _store(db: Database, past: Past) -> None:
    """Put the readings and their rollups into the database."""
    people = max(past.readings)
    await make_devices(db, people, 1, past.start)
    async with db.connection() as conn:
        numbers = await fetch_tuples(conn, "SELECT id, no FROM device")
    no = {_number(device): number for device, number in numbers}
    if any(number != person for person, number in no.items()):
        raise BenchError("the database is not empty")
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE rollup_state SET done_until = telemetry_bucket('1 day', %s), open_from = NULL"
            " WHERE level <> 'raw'",
            (past.start,),
        )
        rows: list[ReadingRow] = []
        for row in _rows(past):
            rows.append(row)
            if len(rows) == _ROWS_AT_ONCE:
                await copy_readings(tx, rows)
                rows.clear()
        await copy_readings(tx, rows)
    await roll_up(db, past.end + timedelta(hours=1), TelemetrySettings())
    async with db.transaction() as tx:
        await tx.execute("ANALYZE")


def _rows(past: Past) -> Iterator[ReadingRow]:
    for person, readings in past.readings.items():
        for each in readings:
            yield ReadingRow(each.at, person, METRICS[each.metric].id, each.value, 0)


@dataclass(frozen=True, slots=True)
class Score:
    """What one way of noticing came to for one illness. Delays in hours."""

    what: str
    cases: int
    noticed: int
    delays: Sequence[float]

    def line(self) -> str:
        """The figures of a row of the table."""
        found = f"{self.noticed:3} of {self.cases}"
        if not self.delays:
            return f"{found}  {'—':>8} {'—':>8}"
        ordered = sorted(self.delays)
        late = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
        return f"{found}  {median(ordered):6.1f} h {late:6.1f} h"


def score(past: Past, rung: Rung, what: str) -> Score:
    """How many cases of an illness rang while it lasted, and how long after it had begun."""
    cases = [each for each in past.illnesses if each.what == what]
    delays = []
    for case in cases:
        until = min(case.until, past.end)
        found = [at for at in rung.at[case.person] if case.since <= at <= until]
        if found:
            delays.append((min(found) - case.since) / timedelta(hours=1))
    return Score(what, len(cases), len(delays), delays)


def false_alarms(past: Past, rung: Rung) -> tuple[int, float]:
    """(alarms of people who were well, elder-weeks in which they were), after the learning."""
    begin, false, well = past.start + _LEARNING, 0, 0.0
    for person in past.readings:
        ill = [
            (case.since, min(case.until + _AFTERWARDS, past.end))
            for case in past.illnesses
            if case.person == person
        ]
        hours = [
            begin + timedelta(hours=n) for n in range(int((past.end - begin) / timedelta(hours=1)))
        ]
        well += sum(not _within(at, ill) for at in hours) / (24 * 7)
        false += sum(at >= begin and not _within(at, ill) for at in rung.at[person])
    return false, well


def _within(at: datetime, spans: Sequence[tuple[datetime, datetime]]) -> bool:
    return any(since <= at <= until for since, until in spans)


def both(one: Rung, other: Rung) -> Rung:
    """Whichever rings first."""
    together = Rung("limits and baselines")
    for rung in (one, other):
        for person, at in rung.at.items():
            together.at[person] += at
    return together


def report(past: Past, ways: Sequence[Rung], seconds: float) -> dict[str, Any]:
    """Print the table and return it as JSON. Delays count from the first sign of an illness."""
    whats = list(dict.fromkeys(each.what for each in past.illnesses))
    readings = sum(len(each) for each in past.readings.values())
    days = (past.end - past.start) / timedelta(days=1)
    print(f"{len(past.readings)} people, {days:.0f} days, {readings:,} readings, {seconds:.0f} s\n")
    print(f"{'illness':16} {'way':22} {'noticed':>9}  {'median':>8} {'p90':>8}")
    result: dict[str, Any] = {"people": len(past.readings), "days": round(days), "ways": {}}
    for what in whats:
        for way in ways:
            found = score(past, way, what)
            print(f"{what:16} {way.title:22} {found.line()}")
            of = result["ways"].setdefault(way.title, {"illnesses": {}})
            of["illnesses"][what] = {
                "cases": found.cases,
                "noticed": found.noticed,
                "median_delay_h": round(median(found.delays), 2) if found.delays else None,
            }
    print()
    for way in ways:
        false, weeks = false_alarms(past, way)
        rate = false / weeks
        print(f"false alarms, {way.title:22} {false:4} in {weeks:.0f} elder-weeks: {rate:.3f}")
        result["ways"][way.title]["false_alarms_per_elder_week"] = round(rate, 4)
    return result


async def run(people: int, days: int, seed: int) -> dict[str, Any]:
    """Simulate, let both ways notice what they notice, and print how they did."""
    past = simulate(people, days, seed)
    began = time.perf_counter()
    limits = by_limits(past)
    with bench_server(StorageMode.PLAIN) as url:
        async with bench_database(url, StorageMode.PLAIN, utcnow()) as bench:
            baselines = await by_baselines(bench.db, past)
    ways = (limits, baselines, both(limits, baselines))
    return report(past, ways, time.perf_counter() - began)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    if options.days <= _LEARNING.days:
        print(f"bench: the first {_LEARNING.days} days are for learning", file=sys.stderr)
        return 2
    try:
        result = asyncio.run(run(options.people, options.days, options.seed))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "detection.json"
    path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"\n{path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
