"""docs/scale.md: its figures come of runs, and its sizes of its figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tools.bench import scale

_COSTS = scale.Costs(
    messages_per_second=20_000, broker=1.0, ingest=6.0, database=9.0,
    reading_bytes=100.0, mark_bytes=50.0, log_bytes=900.0,
    feed_bytes=36_000.0, feed_event=20.0, watch_bytes=4_000.0, mqtt_bytes=2_000.0,
    idle=(("live feed", 1000, 0.005),), runs=("ingest-1", "size-1", "connections-1"),
    environment={"cores": "2", "machine": "x86_64", "load average before": "0.1",
                 "PostgreSQL": "18.4", "storage mode": "plain", "broker": "mosquitto",
                 "python": "3.13"},
)  # fmt: skip


def test_a_county_has_two_of_everything_whatever_the_figures_say() -> None:
    county = scale.size(50_000, _COSTS)
    assert county.messages == pytest.approx(833.3, abs=0.1)
    assert county.ingest_processes == 2


def test_a_region_is_planned_at_half_of_what_was_measured() -> None:
    region = scale.size(5_000_000, _COSTS)
    # 83,333 a second, three times that at the peak, of half of 20,000 each; 500,000 watches of
    # which a process takes 10,000 would need 50.
    assert region.ingest_processes == 50
    assert region.database_cores == pytest.approx(250_000 * 9e-6 * 2)
    slower = scale.size(5_000_000, replace(_COSTS, messages_per_second=2_000))
    assert slower.ingest_processes == 250


def test_room_on_disk_is_readings_and_marks_of_the_days_that_are_kept() -> None:
    one = scale.size(60, _COSTS)
    assert one.messages == 1
    assert one.disk == 86_400 * (90 * 5 * 100 + 45 * 50)


def test_the_newest_runs_are_read_and_every_figure_names_its_run(tmp_path: Path) -> None:
    def write(name: str, document: dict[str, object]) -> None:
        (tmp_path / f"{name}.json").write_text(json.dumps(document), "utf-8")

    def ingest(seconds: float) -> dict[str, object]:
        whole = {"name": "whole path", "messages": 100, "seconds": seconds,
                 "cpu": {"broker": 0.1, "ingest": 0.2, "database": 0.3}}  # fmt: skip
        return {"title": "100 single", "environment": _COSTS.environment, "measurements": [whole]}

    def line(name: str) -> dict[str, object]:
        return {"name": name, "connections": 1000, "bytes_per_connection": 1000.0,
                "micros_per_event": 5.0, "idle_cpu": 0.004}  # fmt: skip

    write("ingest-20260101T000000Z", ingest(1.0))
    write("ingest-20260102T000000Z", ingest(0.5))
    write("ingest-20260103T000000Z", {"title": "gateway batches", "measurements": []})
    room = {"bytes_per_reading": 90.0, "bytes_per_mark": 80.0, "log_bytes_per_message": 70.0}
    write("size-20260101T000000Z", room)
    lines = [line(name) for name in ("live feed", "TCP watch", "MQTT device")]
    write("connections-20260101T000000Z", {"connections": lines})
    costs = scale.read_costs(tmp_path)
    assert costs.messages_per_second == 200
    assert costs.ingest == pytest.approx(2000)
    text = scale.tables(costs)
    assert "`ingest-20260102T000000Z`" in text
    rows = [row for row in text.splitlines() if row.startswith("|") and "Measured" not in row]
    measured = rows[1 : rows.index(next(row for row in rows if "County" in row))]
    assert len(measured) > 8
    assert all("2026010" in row for row in measured)


def test_without_a_run_it_says_which_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ingest"):
        scale.read_costs(tmp_path)


def test_the_page_has_a_place_for_the_figures_and_figures_in_it(project: Path) -> None:
    text = (project / "docs/scale.md").read_text("utf-8")
    generated = text.split(scale.BEGIN)[1].split(scale.END)[0]
    assert "`ingest-" in generated
    assert "5,000,000" in generated
