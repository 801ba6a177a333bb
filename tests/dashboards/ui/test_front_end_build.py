"""The front end's packages, types and built files."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from dashboards.ui.assets import DIST
from tests.dashboards.ui.harness import Stage
from tools.assets import node_command

ASSETS = DIST.parent


def test_the_lock_names_no_host() -> None:
    lock = json.loads((ASSETS / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


def test_the_types_are_right(project: Path, built_assets: None) -> None:
    subprocess.run([sys.executable, project / "tools" / "assets.py", "check"], check=True)


def test_a_second_build_finds_nothing_to_do(project: Path, built_assets: None) -> None:
    command = [sys.executable, project / "tools" / "assets.py", "build"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "packages are up to date" in said
    assert "dist is up to date" in said


def test_scripts_and_styles_name_no_other_site(built_assets: None) -> None:
    """Only namespaces, licences and links in messages may look like addresses; no CDN."""
    harmless = (
        "w3.org",
        "leafletjs.com",
        "tabler.io",
        "github.com",
        "getbootstrap.com",
        "htmx.org",
        "echarts.apache.org",
        "bugs.webkit.org",
    )
    for path in [*DIST.glob("*.js"), *DIST.glob("*.css")]:
        for host in re.findall(r"https?://([\w.-]+)", path.read_text(encoding="utf-8")):
            assert host.endswith(harmless), f"{path.name} names {host}"


async def test_files_are_served_small_and_for_ever(stage: Stage) -> None:
    files = json.loads((DIST / "manifest.json").read_text())["files"]
    async with httpx.AsyncClient(base_url=stage.url) as client:
        plain = await client.get(
            f"/assets/{files['console.css']}", headers={"Accept-Encoding": "identity"}
        )
        packed = await client.get(
            f"/assets/{files['console.css']}", headers={"Accept-Encoding": "gzip"}
        )
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-type"].startswith("text/css")
    assert packed.text == plain.text
    assert int(packed.headers["content-length"]) < 120_000


async def test_a_file_that_was_never_built_is_not_found(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.url) as client:
        assert (await client.get("/assets/../manifest.py")).status_code == 404
        assert (await client.get("/assets/console-00000000.js")).status_code == 404


def test_packed_copies_are_the_same_file(built_assets: None) -> None:
    for path in DIST.glob("*.gz"):
        assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()


def test_words_of_alarms_close_together_do_not_lie_upon_each_other(project: Path) -> None:
    """Of alarms at 10, 50, 95 and 100 on a chart from 0 to 100 the one at 95 goes without."""
    module = (ASSETS / "src" / "islands" / "chart-data.ts").as_uri()
    script = f"""
        import {{ namedAlarms }} from "{module}";
        const alarms = [95, 10, 100, 50].map((at) => ({{ at }}));
        console.log(JSON.stringify([...namedAlarms(alarms, 0, 100)].map((alarm) => alarm.at)));
    """
    command = [*node_command(), "--input-type=module", "--eval", script]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == [100, 50, 10]


@pytest.mark.parametrize(
    ("heights", "places"),
    [
        # Limits that are far from each other, and high ones as near as low ones often are.
        ([20, 50, 130], ["StartTop", "StartTop", "StartTop"]),
        ([20, 32, 120, 132], ["StartTop", "StartBottom", "StartTop", "StartBottom"]),
        # Given in another order, three of them together, at the foot of the chart.
        ([132, 120], ["StartBottom", "StartTop"]),
        ([40, 50, 60], ["StartTop", "EndTop", "StartBottom"]),
        ([148, 155], ["StartTop", "EndTop"]),
    ],
)
def test_words_of_near_limits_do_not_lie_upon_each_other(
    project: Path, heights: list[int], places: list[str]
) -> None:
    module = (ASSETS / "src" / "islands" / "chart-data.ts").as_uri()
    script = f"""
        import {{ labelPlaces }} from "{module}";
        console.log(JSON.stringify(labelPlaces({heights}, 157)));
    """
    command = [*node_command(), "--input-type=module", "--eval", script]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == [f"inside{place}" for place in places]
