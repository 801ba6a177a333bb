"""The Kubernetes manifests are as their schemas say, and as our processes are."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel

from app.settings import Settings, WatchSection

Manifest = dict[str, Any]
_BASE = Path(__file__).parents[2] / "deploy/kubernetes/base"
_PROCESSES = ("web", "ingest", "worker", "scheduler")


@cache
def manifests() -> tuple[Manifest, ...]:
    files = [path for path in sorted(_BASE.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return tuple(m for path in files for m in yaml.safe_load_all(path.read_text("utf-8")))


def kustomization(folder: str) -> Manifest:
    text = (_BASE.parent / folder / "kustomization.yaml").read_text("utf-8")
    loaded: Manifest = yaml.safe_load(text)
    return loaded


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def workloads() -> Iterator[tuple[str, Manifest]]:
    """The process and its pod's description, for each that runs our image."""
    for manifest in manifests():
        if "template" in manifest.get("spec", {}):
            pod = manifest["spec"]["template"]["spec"]
            yield manifest["metadata"]["labels"]["app.kubernetes.io/component"], pod


def only(kind: str, name: str) -> Manifest:
    (found,) = [m for m in manifests() if name_of(m) == f"{kind} silverline-{name}"]
    return found


def setting_names() -> set[str]:
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= {f"SILVERLINE_{name}__{inner}".upper() for inner in kind.model_fields}
        else:
            names.add(f"SILVERLINE_{name}".upper())
    return names


@pytest.mark.parametrize("manifest", manifests(), ids=name_of)
def test_a_manifest_is_as_its_schema_says(manifest: Manifest) -> None:
    # The oldest version that we promise, and the newest that there is a schema of.
    for version in ("1.31", "1.37"):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_every_file_of_the_base_is_listed() -> None:
    files = {path.name for path in _BASE.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization("base")["resources"]) == files


def test_every_process_and_the_migration_have_a_workload() -> None:
    assert {name for name, _ in workloads()} == {*_PROCESSES, "migrate"}
    for name, pod in workloads():
        (container,) = pod["containers"]
        assert container["args"] == [name]


def test_two_of_each_run_unless_an_autoscaler_has_the_say() -> None:
    assert only("StatefulSet", "ingest")["spec"]["replicas"] >= 2
    for name in ("worker", "scheduler"):
        assert only("Deployment", name)["spec"]["replicas"] >= 2
    assert "replicas" not in only("Deployment", "web")["spec"]
    assert only("HorizontalPodAutoscaler", "web")["spec"]["minReplicas"] >= 2


@pytest.mark.parametrize("name", _PROCESSES)
def test_a_process_is_probed_drained_and_spread(name: str) -> None:
    pod = dict(workloads())[name]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["health"] == 9100
    # A database that is away must not have everything started again.
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert pod["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"
    budget = only("PodDisruptionBudget", name)["spec"]
    assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/component": name}
    assert budget["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("name", "pod"), list(workloads()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_pod_has_no_rights_and_its_limits(name: str, pod: Manifest) -> None:
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    kept = {"/var/lib/silverline"} if name == "web" else set()
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"/tmp", "/run/secrets"} | kept


def test_every_variable_is_a_setting() -> None:
    used = {
        literal.split("=", 1)[0]
        for folder in ("base", "example")
        for generator in kustomization(folder)["configMapGenerator"]
        for literal in generator["literals"]
    }
    for _, pod in workloads():
        used |= {variable["name"] for c in pod["containers"] for variable in c.get("env", [])}
    assert len(used) > 10
    assert used <= setting_names()


def test_secrets_are_files_that_each_process_needs_and_no_variable_holds_one() -> None:
    secret = {"PASSWORD", "KEY"}
    for name, pod in workloads():
        (volume,) = [v["secret"] for v in pod["volumes"] if v["name"] == "secrets"]
        keys = {item["key"] for item in volume["items"]}
        assert keys <= setting_names()
        assert {"SILVERLINE_DATABASE__PASSWORD", "SILVERLINE_MASTER_KEY"} <= keys
        assert volume["defaultMode"] == 0o440
        # The broker's administrator is for those that write its list of devices.
        assert ("SILVERLINE_MQTT__DYNSEC_PASSWORD" in keys) == (name in {"worker", "migrate"})
        for container in pod["containers"]:
            names = {variable["name"] for variable in container.get("env", [])}
            assert not [n for n in names if set(n.split("_")) & secret]
    assert "Secret" not in {manifest["kind"] for manifest in manifests()}


def test_ingest_keeps_its_name_at_the_broker_and_listens_for_every_protocol() -> None:
    pod = dict(workloads())["ingest"]
    (container,) = pod["containers"]
    env = {variable["name"]: variable for variable in container["env"]}
    client_id = env["SILVERLINE_MQTT__CLIENT_ID"]["valueFrom"]
    assert client_id == {"fieldRef": {"fieldPath": "metadata.name"}}
    section = WatchSection(ports=yaml.safe_load(env["SILVERLINE_WATCH__PORTS"]["value"]))
    assert set(section.ports) == set(_stream_codecs())
    open_ports = {port["containerPort"] for port in container["ports"]}
    assert set(section.ports.values()) | {5060} <= open_ports
    served = {port["targetPort"] for port in only("Service", "watches")["spec"]["ports"]}
    (policy,) = only("NetworkPolicy", "ingest")["spec"]["ingress"]
    assert {port["port"] for port in policy["ports"]} == served
    assert served == {port["name"] for port in container["ports"]} - {"health"}
    literals = kustomization("base")["configMapGenerator"][0]["literals"]
    assert "SILVERLINE_MQTT__SHARE_GROUP=silverline" in literals


def _stream_codecs() -> list[str]:
    from devices.codecs.catalogue import CODECS

    return [name for name, codec in CODECS.items() if codec.split is not None]


def test_the_feed_is_not_buffered_on_its_way() -> None:
    (ingress,) = [m for m in manifests() if m["kind"] == "Ingress"]
    notes = ingress["metadata"]["annotations"]
    assert notes["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    service = only("Service", "web")
    assert backend == {"name": service["metadata"]["name"], "port": {"name": "http"}}


def test_selectors_find_what_they_are_for() -> None:
    components = {name for name, _ in workloads()}
    for manifest in manifests():
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = selector.get("matchLabels", selector)
        component = wanted.get("app.kubernetes.io/component")
        assert component is None or component in components, name_of(manifest)
