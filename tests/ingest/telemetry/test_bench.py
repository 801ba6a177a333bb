"""The benchmark runs, counts what it says it counts, and leaves its figures behind."""

import json
import subprocess
import sys
from pathlib import Path


def test_a_small_run_measures_all_three_ways_in_both_shapes(project: Path, tmp_path: Path) -> None:
    sizes = ["--devices", "20", "--messages", "200"]
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench.ingest", *sizes, "--output", str(tmp_path)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, shape in (("ingest", "single wearables"), ("gateways", "gateway batches of 20")):
        (file,) = tmp_path.glob(f"{name}-*.json")
        found = json.loads(file.read_text())
        assert shape in found["title"]
        measured = {m["name"]: m for m in found["measurements"]}
        assert set(measured) == {"bare COPY", "pipeline alone", "whole path"}
        assert {m["rows"] for m in measured.values()} == {200 * 5}
        assert measured["bare COPY"]["share_of_copy"] == 1.0
        assert measured["whole path"]["rows_per_second"] > 0
        assert set(measured["whole path"]["cpu"]) == {"broker", "ingest", "database"}
        assert str(file) in done.stdout
