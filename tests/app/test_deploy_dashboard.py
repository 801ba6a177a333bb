"""Grafana's dashboard and Prometheus' alerts ask for figures that our processes really give."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

# What Prometheus adds itself, and a histogram's parts.
_ADDED_LABELS = {"instance", "job", "process", "le"}
_PARTS = re.compile(r"_(bucket|sum|count)$")


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """The labels of every figure, by the name under which it is scraped."""
    for name in ("app.web", "app.wiring", "app.processes.ingest", "app.processes.scheduler",
                 "app.processes.worker", "app.processes.web"):  # fmt: skip
        importlib.import_module(name)
    found: dict[str, set[str]] = {}
    for collector, names in REGISTRY._collector_to_names.items():
        for name in names:
            if name.startswith("silverline_"):
                found[name] = set(getattr(collector, "_labelnames", ()))
    assert len(found) > 20
    return found


def dashboard_queries(project: Path) -> Iterator[str]:
    dashboard = json.loads((project / "deploy/grafana/dashboards/silverline.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def alert_queries(project: Path) -> Iterator[str]:
    rules = yaml.safe_load((project / "deploy/prometheus/alerts.yml").read_text())
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def queries(project: Path) -> list[str]:
    return [*dashboard_queries(project), *alert_queries(project)]


def test_every_figure_that_is_asked_for_exists(project: Path, labels: dict[str, set[str]]) -> None:
    asked = {name for query in queries(project) for name in re.findall(r"\bsilverline_\w+", query)}
    assert len(asked) > 15
    assert asked <= labels.keys()


def test_every_label_that_is_asked_for_exists(project: Path, labels: dict[str, set[str]]) -> None:
    for query in queries(project):
        known = set(_ADDED_LABELS)
        for name in re.findall(r"\bsilverline_\w+", query):
            known |= labels[name]
        grouped = re.findall(r"\bby \(([^)]*)\)", query)
        chosen = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", query)
        used = {word.strip() for part in grouped for word in part.split(",")} | set(chosen)
        assert used <= known, query


def test_every_legend_names_a_label_that_its_query_keeps(project: Path) -> None:
    dashboard = json.loads((project / "deploy/grafana/dashboards/silverline.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert re.search(rf"\bby \([^)]*\b{label}\b", target["expr"]), target


def test_counters_are_asked_for_their_rate_and_gauges_are_not(
    project: Path, labels: dict[str, set[str]]
) -> None:
    del labels
    for query in queries(project):
        for name in re.findall(r"\bsilverline_\w+", query):
            grows = name.endswith("_total") or _PARTS.search(name)
            rated = re.search(rf"(rate|increase)\({name}\b", query)
            assert bool(grows) == bool(rated), query


def test_the_dashboard_s_panels_have_their_own_numbers_and_places(project: Path) -> None:
    dashboard = json.loads((project / "deploy/grafana/dashboards/silverline.json").read_text())
    numbers = [panel["id"] for panel in dashboard["panels"]]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(set(places)) == len(dashboard["panels"])
    source = yaml.safe_load(
        (project / "deploy/grafana/provisioning/datasources/silverline.yaml").read_text()
    )
    uid = source["datasources"][0]["uid"]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {uid}


def test_prometheus_scrapes_every_process(project: Path) -> None:
    config = yaml.safe_load((project / "deploy/prometheus/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert set(names["names"]) == {"web", "ingest", "worker", "scheduler"}
    assert names["port"] == 9100


def test_a_figure_that_is_0_elsewhere_is_asked_of_its_own_process(
    project: Path, labels: dict[str, set[str]]
) -> None:
    # Every process gives every figure without labels: the least of all is always 0.
    asked = [name for query in queries(project) for name in re.findall(r"min\((\w+)\)", query)]
    assert [name for name in asked if not labels[name]] == []
