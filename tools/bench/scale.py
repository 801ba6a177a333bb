"""Writes the measured part of docs/scale.md: costs from the newest runs, and sizes that follow.

    python -m tools.bench.scale [--results bench-results] [--document docs/scale.md]

Reads the newest ingest-, size- and connections-….json of `make bench`, `python -m tools.bench.size`
and `python -m tools.bench.connections`. What is between the two marks of the document is replaced.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# What is assumed; change it here and run again.
MESSAGES_A_MINUTE = 1.0
READINGS_A_MESSAGE = 5
PEAK = 3.0
PLANNED_SHARE = 0.5
TCP_SHARE = 0.1
SEATS_A_THOUSAND = 0.5
KEPT_READINGS_DAYS = 90
KEPT_MARKS_DAYS = 45
WATCHES_A_PROCESS = 20_000
PLACES = (("County", 50_000), ("League or city", 500_000), ("Region", 5_000_000))


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured. Times in µs of one core for a message, memory and room in bytes."""

    messages_per_second: float
    broker: float
    ingest: float
    database: float
    reading_bytes: float
    mark_bytes: float
    log_bytes: float
    feed_bytes: float
    feed_event: float
    watch_bytes: float
    mqtt_bytes: float
    idle: tuple[tuple[str, int, float], ...]
    """Name, number and share of one core of connections on which nothing happens."""
    runs: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Size:
    """What a place needs; rates a second, room in bytes."""

    devices: int
    messages: float
    peak: float
    ingest_processes: int
    ingest_cores: float
    database_cores: float
    disk: float
    log: float
    broker_memory: float
    watch_memory: float
    seats: int


def size(devices: int, costs: Costs) -> Size:
    """Return what so many devices need, planned at half of what was reached."""
    messages = devices * MESSAGES_A_MINUTE / 60
    peak = messages * PEAK
    watches = devices * TCP_SHARE
    by_rate = peak / (costs.messages_per_second * PLANNED_SHARE)
    a_day = messages * 86_400
    return Size(
        devices=devices,
        messages=messages,
        peak=peak,
        ingest_processes=max(2, ceil(by_rate), ceil(watches / (WATCHES_A_PROCESS * PLANNED_SHARE))),
        ingest_cores=peak * costs.ingest / 1e6 / PLANNED_SHARE,
        database_cores=peak * costs.database / 1e6 / PLANNED_SHARE,
        disk=a_day * (
            KEPT_READINGS_DAYS * READINGS_A_MESSAGE * costs.reading_bytes
            + KEPT_MARKS_DAYS * costs.mark_bytes
        ),
        log=messages * costs.log_bytes,
        broker_memory=(devices - watches) * costs.mqtt_bytes,
        watch_memory=watches * costs.watch_bytes,
        seats=ceil(devices / 1000 * SEATS_A_THOUSAND),
    )  # fmt: skip


def read_costs(results: Path) -> Costs:
    """Read the newest runs. Raises FileNotFoundError when one of the three kinds is missing."""
    ingest_file, ingest = _newest(results, "ingest-*.json", "single")
    size_file, room = _newest(results, "size-*.json")
    lines_file, lines = _newest(results, "connections-*.json")
    whole = next(m for m in ingest["measurements"] if m["name"] == "whole path")
    each = {line["name"]: line for line in lines["connections"]}
    micros = {name: seconds / whole["messages"] * 1e6 for name, seconds in whole["cpu"].items()}
    return Costs(
        messages_per_second=whole["messages"] / whole["seconds"],
        broker=micros["broker"],
        ingest=micros["ingest"],
        database=micros["database"],
        reading_bytes=room["bytes_per_reading"],
        mark_bytes=room["bytes_per_mark"],
        log_bytes=room["log_bytes_per_message"],
        feed_bytes=each["live feed"]["bytes_per_connection"],
        feed_event=each["live feed"]["micros_per_event"],
        watch_bytes=each["TCP watch"]["bytes_per_connection"],
        mqtt_bytes=each["MQTT device"]["bytes_per_connection"],
        idle=tuple((n, line["connections"], line["idle_cpu"]) for n, line in each.items()),
        runs=(ingest_file.stem, size_file.stem, lines_file.stem),
        environment=ingest["environment"],
    )


def _newest(results: Path, pattern: str, title: str = "") -> tuple[Path, dict[str, Any]]:
    for path in sorted(results.glob(pattern), reverse=True):
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if title in document.get("title", ""):
            return path, document
    raise FileNotFoundError(f"no run {pattern} in {results}")


def tables(costs: Costs) -> str:
    """Return the generated part of the document."""
    where = costs.environment
    ingest_run, size_run, lines_run = (f"`{run}`" for run in costs.runs)
    rows = [
        ("Messages of one ingest process, broker and database on the same cores",
         f"{costs.messages_per_second:,.0f} /s", ingest_run),
        ("Ingest, core time of a message", f"{costs.ingest:.1f} µs", ingest_run),
        ("Database, core time of a message", f"{costs.database:.1f} µs", ingest_run),
        ("Mosquitto, core time of a message", f"{costs.broker:.1f} µs", ingest_run),
        ("A reading on disk, with its indexes", f"{costs.reading_bytes:.0f} bytes", size_run),
        ("The mark of a message (exactly-once)", f"{costs.mark_bytes:.0f} bytes", size_run),
        ("A message in the write-ahead log", f"{costs.log_bytes:.0f} bytes", size_run),
        ("A browser on the live feed, web", f"{costs.feed_bytes:,.0f} bytes", lines_run),
        ("An event to one browser, web", f"{costs.feed_event:.0f} µs", lines_run),
        ("An idle watch on TCP, ingest", f"{costs.watch_bytes:,.0f} bytes", lines_run),
        ("An idle device on Mosquitto", f"{costs.mqtt_bytes:,.0f} bytes", lines_run),
    ]  # fmt: skip
    for name, number, share in costs.idle:
        rows.append((f"{number:,} idle connections: {name}", f"{share:.2%} of a core", lines_run))
    measured = ["| What | Measured | Run |", "|---|---|---|"]
    measured += [f"| {what} | {figure} | {run} |" for what, figure, run in rows]
    machine = (
        f"Machine of the ingest run: {where['cores']} cores ({where['machine']}), "
        f"load {where['load average before']} before it began, PostgreSQL {where['PostgreSQL']}, "
        f"storage mode {where['storage mode']}, {where['broker']}, Python {where['python']}."
    )
    sizes = [(name, size(devices, costs)) for name, devices in PLACES]
    needs = [
        "| | " + " | ".join(name for name, _ in sizes) + " |",
        "|---|" + "---|" * len(sizes),
        *(f"| {what} | " + " | ".join(show(s) for _, s in sizes) + " |" for what, show in _NEEDS),
    ]
    return "\n".join(["", "", *measured, "", machine, "", *needs, "", ""])


_NEEDS: tuple[tuple[str, Callable[[Size], str]], ...] = (
    ("Devices", lambda s: f"{s.devices:,}"),
    ("Messages a second", lambda s: f"{s.messages:,.0f}"),
    (f"… at the peak (× {PEAK:g})", lambda s: f"{s.peak:,.0f}"),
    ("Ingest processes", lambda s: f"{s.ingest_processes}"),
    ("… cores that they use", lambda s: f"{s.ingest_cores:.2f}"),
    ("Database cores for storing", lambda s: f"{s.database_cores:.2f}"),
    (f"Readings of {KEPT_READINGS_DAYS} days and marks", lambda s: f"{s.disk / 1e12:.2f} TB"),
    ("Write-ahead log", lambda s: f"{s.log / 1e6:.1f} MB/s"),
    ("Memory of the MQTT connections (Mosquitto's)", lambda s: f"{s.broker_memory / 1e9:.2f} GB"),
    ("Memory of the TCP connections", lambda s: f"{s.watch_memory / 1e9:.2f} GB"),
    ("Seats with the feed open", lambda s: f"{s.seats:,}"),
)


def main() -> None:
    """Replace the part between the marks."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.scale")
    parser.add_argument("--results", type=Path, default=Path("bench-results"))
    parser.add_argument("--document", type=Path, default=Path("docs/scale.md"))
    options = parser.parse_args()
    text = options.document.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    new = tables(read_costs(options.results))
    options.document.write_text(f"{head}{BEGIN}{new}{END}{tail}", "utf-8")
    print(new)


if __name__ == "__main__":
    main()
