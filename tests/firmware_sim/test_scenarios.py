"""Scenario files: all that come with the simulator run; a bad one is refused with a sentence."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import FOLDER, Broker, Simulator, Subscriber, WatchServer

Simulate = Callable[..., Simulator]
Write = Callable[[str], str]
FLEET = "[fleet]\nwatch = 1\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[fleet", "is not valid TOML"),
        ("title = 'x'", "has no devices in [fleet]."),
        ("[fleet]\nrobot = 1", "unknown device type 'robot'"),
        (FLEET + "[every]\nvitals = 0", "vitals = 0; it must be from 0.05"),
        (FLEET + "[every]\nvitals = 'often'", "has a vitals that is not a number."),
        (FLEET + "colour = 1", "[fleet], names an unknown device type 'colour'"),
        ("colour = 1\n" + FLEET, "has unknown keys: colour."),
        (FLEET + "[[event]]\ndo = 'sing'", "event 1, does 'sing'"),
        (FLEET + "[[event]]\ndo = 'alarm'\nkind = 'hunger'", "unknown alarm kind 'hunger'"),
        (
            FLEET + "[[event]]\ndo = 'alarm'\nkind = 'smoke'\ntypes = ['watch']",
            "raises smoke, which none of its device types can raise.",
        ),
        (FLEET + "[[event]]\ndo = 'vitals'", "has no values in `set`."),
        (FLEET + "[[event]]\ndo = 'vitals'\nset = { mood = 1 }", "sets unknown metrics: mood."),
        (FLEET + "[[event]]\ndo = 'unplug'", "does not say for how many seconds"),
        (
            FLEET + "[[event]]\ndo = 'alarm'\nkind = 'sos'\ncount = 1\nshare = 0.5",
            "has both count and share",
        ),
    ],
)
def test_bad_scenario_is_one_sentence(text: str, sentence: str, scenario: Write) -> None:
    import scenario as scenarios

    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.load(scenario(text))
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")


def test_bad_use_is_exit_2_and_a_sentence(tmp_path: Path, scenario: Write) -> None:
    devices = tmp_path / "devices.json"
    devices.write_text(json.dumps([{"device_id": "D-1", "type": "door", "gateway": "H-9"}]))
    for options, sentence in [
        (["--scenario", "picnic"], "There is no scenario 'picnic'; known are fall, fire"),
        (["--scenario", scenario("[fleet")], "is not valid TOML"),
        (["--credentials", str(devices)], "names gateway H-9, which is not a gateway"),
        (["--credentials", str(tmp_path / "none.json")], "Cannot read the credentials file"),
        (["--broker", "somewhere"], "must look like 127.0.0.1:1883"),
    ]:
        done = subprocess.run(
            [sys.executable, str(FOLDER), *options], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_every_scenario_that_comes_along_runs(
    mqtt_broker: Broker, server: WatchServer, simulate: Simulate
) -> None:
    names = sorted(path.stem for path in (FOLDER / "scenarios").glob("*.toml"))
    assert {"quiet", "fall", "sos", "night-wander", "fire", "heart", "mixed"} <= set(names)
    assert {"outage", "setracker", "storm"} <= set(names)
    for name in names:
        # Client ids are the same in every run: one after the other.
        options = ["--scenario", name, "--devices", "30", "--seconds", "0.2"]
        simulator = simulate(mqtt_broker.address, *options, "--tcp", f"127.0.0.1:{server.port}")
        report = simulator.finish()
        assert report["devices"] == report["connected"] == 30
        assert report["unacknowledged"] == report["tcp"]["unconfirmed"] == 0


def test_zigbee_bridge_speaks_as_zigbee2mqtt(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write, tmp_path: Path
) -> None:
    bridge = {"device_id": "Z-1", "type": "gateway", "base_topic": "zigbee2mqtt/#"}
    kinds = {"door-1": "door", "motion-1": "motion", "smoke-1": "smoke", "button-1": "pendant"}
    behind = [{"device_id": i, "type": kind, "gateway": "Z-1"} for i, kind in kinds.items()]
    devices = tmp_path / "devices.json"
    devices.write_text(json.dumps([bridge, *behind]))
    own = scenario(
        FLEET + "[every]\nvitals = 0.2\n"
        "[[event]]\ndo = 'alarm'\nkind = 'sos'\nat = 0.3\n"
        "[[event]]\ndo = 'alarm'\nkind = 'smoke'\nat = 0.3\nlasting = 0.4\nclear = true\n"
    )
    simulator = simulate(
        mqtt_broker.address, "--scenario", own, "--credentials", str(devices), "--seconds", "1.2"
    )
    report = simulator.finish()
    witness.catch_up()

    topics = {topic for topic, _ in witness.messages if not topic.startswith("mark")}
    assert topics == {"zigbee2mqtt/bridge/state", *(f"zigbee2mqtt/{name}" for name in kinds)}
    assert witness.topic("zigbee2mqtt/bridge/state") == [{"state": "online"}]
    assert {m["contact"] for m in witness.topic("zigbee2mqtt/door-1") if "contact" in m} == {True}
    (press,) = [m for m in witness.topic("zigbee2mqtt/button-1") if "action" in m]
    assert press["action"] == "single"
    smoke = [m["smoke"] for m in witness.topic("zigbee2mqtt/smoke-1")]
    assert smoke[0] is smoke[-1] is False
    assert True in smoke
    assert report["messages_published"] == 0, "none of it is protocol v1"
    zigbee = report["zigbee2mqtt"]
    assert zigbee["messages_published"] == len(witness.messages) - 2  # bridge, mark
    assert zigbee["alarms_published"] == 2
    contacts = sum("contact" in m for m in witness.topic("zigbee2mqtt/door-1"))
    assert zigbee["readings_by_metric"]["door_open"] == contacts


def test_imports_nothing_but_the_standard_library_and_itself() -> None:
    own = {path.stem for path in FOLDER.glob("*.py")}
    allowed = own | set(sys.stdlib_module_names)
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module or ""]
            else:
                continue
            foreign = {name.split(".")[0] for name in names} - allowed
            assert not foreign, f"{path.name} imports {foreign}"
    assert not own & set(sys.stdlib_module_names), "and hides nothing of it"
