"""What the simulator says it published is what a subscriber received, whatever happens between."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Broker, Simulator, Subscriber, wait_until

Simulate = Callable[..., Simulator]
Write = Callable[[str], str]

PATIENCE_MS = 30_000
"""So long a machine may stand still between a press and its message."""
BUSY = """
[fleet]
watch = 10
pendant = 3
bed_sensor = 4
smoke = 3
door = 4
motion = 4
gateway = 2
[gateway]
serves = ["bed_sensor", "smoke", "door", "motion"]
batch_seconds = 0.2
[every]
vitals = 0.5
status = 1
location = 1
[[event]]
do = "alarm"
kind = "sos"
at = 0.5
every = 0.5
count = 2
[[event]]
do = "alarm"
kind = "smoke"
at = 0.3
count = 1
lasting = 0.5
clear = true
"""
CUT = """
[fleet]
watch = 6
door = 4
gateway = 1
[gateway]
serves = ["door"]
batch_seconds = 0.2
[every]
vitals = 0.1
[[event]]
do = "unplug"
at = 0.5
lasting = 1.2
[[event]]
do = "alarm"
kind = "sos"
types = ["watch"]
at = 1.0
count = 2
"""


def assert_witnessed(report: dict[str, Any], witness: Subscriber) -> None:
    """Every count of the report is what arrived; each device's numbers are 1…n in order."""
    received = witness.by_device()
    assert set(received) == {name for name, a in report["by_device"].items() if a["messages"]}
    for name, messages in received.items():
        account = report["by_device"][name]
        first_seen = list(dict.fromkeys(message["seq"] for message in messages))
        assert first_seen == list(range(1, account["last_seq"] + 1)), name
        assert account["messages"] == account["last_seq"]
    unique = {(name, m["seq"]): m for name, messages in received.items() for m in messages}
    assert report["messages_published"] == len(unique)
    # The server keeps two values of a status as readings too.
    kept_of_status = ("battery", "rssi")
    readings = sum(
        len(message.get("vitals", {})) + sum(name in message for name in kept_of_status)
        for message in unique.values()
    )
    assert report["readings_published"] == readings
    alarms = [m for m in unique.values() if m["kind"] == "alarm" and m["active"]]
    assert report["alarms_published"] == len(alarms)


@pytest.mark.parametrize("version", ["4", "5"])
def test_report_equals_what_a_subscriber_received(
    version: str, mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    own = scenario(BUSY)
    simulator = simulate(
        mqtt_broker.address,
        "--scenario",
        own,
        "--devices",
        "40",
        "--seconds",
        "1.5",
        "--mqtt",
        version,
    )
    report = simulator.finish()
    witness.catch_up()

    assert_witnessed(report, witness)
    assert report["devices"] == report["connected"] == 40
    assert report["unacknowledged"] == report["reconnects"] == report["dropped"] == 0
    assert report["readings_published"] > 200
    assert report["alarms_published"] >= 5
    received = [m for messages in witness.by_device().values() for m in messages]
    assert len(received) == report["messages_published"], "nothing was sent twice"
    assert not any(message.get("replayed") for message in received)
    assert witness.topic("silverline/v1/W-0001/status")[-1]["online"] is True
    batched = [m for m in received if m["via"] != m.get("device", m["via"])]
    assert {m["device"][0] for m in batched} == {"B", "S", "D", "M"}


def test_alarm_log_names_every_alarm_once(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    own = scenario(BUSY)
    simulator = simulate(
        mqtt_broker.address, "--scenario", own, "--devices", "30", "--seconds", "1.2"
    )
    simulator.finish()
    witness.catch_up()

    logged = {(a["device"], a["seq"]): a for a in simulator.alarms()}
    assert len(logged) == len(simulator.alarms())
    said = {
        (name, m["seq"]): m
        for name, messages in witness.by_device().items()
        for m in messages
        if m["kind"] == "alarm"
    }
    assert logged.keys() == said.keys()
    for key, message in said.items():
        assert logged[key]["kind"] == message["alarm"]
        assert logged[key]["active"] == message["active"]
        assert 0 <= logged[key]["at_ms"] - message["t"] < PATIENCE_MS
    assert {a["active"] for a in logged.values()} == {True, False}


def test_unplugged_devices_replay_everything_in_order(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    own = scenario(CUT)
    simulator = simulate(
        mqtt_broker.address, "--scenario", own, "--devices", "11", "--seconds", "3.4"
    )
    report = simulator.finish()
    witness.catch_up()

    assert_witnessed(report, witness)
    assert report["reconnects"] == 7, "six watches and a gateway came back"
    assert report["replayed"] > 60
    for name in ("W-0001", "D-0001"):
        times = [m["t"] for m in witness.by_device()[name]]
        assert times == sorted(times)
        late = [m.get("replayed", False) for m in witness.by_device()[name]]
        assert late.index(True) > 0
        assert late[late.index(True) :].count(False) > 0, "after the buffer it is live again"
    alarms = simulator.alarms()
    assert [a["replayed"] for a in alarms] == [True, True]
    for alarm in alarms:
        message = witness.by_device()[alarm["device"]][alarm["seq"] - 1]
        assert alarm["at_ms"] - message["t"] > 300, "sent when the line was back, not when raised"
    assert {"online": False} in witness.topic("silverline/v1/W-0001/status"), "the last will"


def test_restart_of_the_broker_loses_nothing(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    own = scenario(BUSY)
    simulator = simulate(
        mqtt_broker.address, "--scenario", own, "--devices", "30", "--seconds", "2.5", "--rate", "4"
    )
    wait_until(lambda: len(witness.messages) > 200, "a first few messages")
    mqtt_broker.stop()
    mqtt_broker.start()
    report = simulator.finish()
    wait_until(lambda: len(witness.by_device()) > 20, "the subscriber's session to come back")
    witness.catch_up()

    assert_witnessed(report, witness)
    assert report["reconnects"] >= 10
    assert report["replayed"] > 0
    assert report["unacknowledged"] == 0


def test_sigterm_ends_cleanly(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    simulator = simulate(mqtt_broker.address, "--scenario", scenario(BUSY), "--devices", "20")
    wait_until(lambda: len(witness.messages) > 50, "a first few messages")
    simulator.interrupt()
    report = simulator.finish()
    witness.catch_up()

    assert_witnessed(report, witness)
    assert report["unacknowledged"] == 0
    assert report["started_at"] < report["ended_at"]
    assert not any(payload == {"online": False} for _, payload in witness.messages)


def test_without_a_broker_it_says_so_and_fails(simulate: Simulate, scenario: Write) -> None:
    simulator = simulate(
        "127.0.0.1:9",
        "--scenario",
        scenario(CUT),
        "--devices",
        "3",
        "--seconds",
        "0.5",
        "--settle",
        "0.3",
    )
    _, errors = simulator.process.communicate(timeout=30)
    assert simulator.process.returncode == 1
    assert errors.count("Cannot reach the MQTT broker") == 1
    assert "Traceback" not in errors


def test_full_buffer_drops_the_oldest_but_no_alarm(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    own = scenario("buffer_messages = 4\n" + CUT.replace("door = 4\ngateway = 1", ""))
    simulator = simulate(mqtt_broker.address, "--scenario", own, "--devices", "6", "--seconds", "2")
    report = simulator.finish(expect=1)
    witness.catch_up()

    assert report["dropped"] > 6
    received = witness.by_device()
    total = sum(len(messages) for messages in received.values())
    assert report["messages_published"] == total
    highest = sum(account["last_seq"] for account in report["by_device"].values())
    assert total + report["dropped"] == highest
    assert report["alarms_published"] == 2
    for messages in received.values():
        assert [m["seq"] for m in messages] == sorted(m["seq"] for m in messages)


def test_devices_log_in_with_their_own_credentials(
    mosquitto: str, tmp_path: Path, simulate: Simulate, scenario: Write
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("W-1:first\nH-1:second\nwitness:third\n")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    broker = Broker(mosquitto, tmp_path, passwords=passwords)
    broker.start()
    witness = Subscriber(broker.port, "witness", "third")
    devices = [
        {"device_id": "W-1", "username": "W-1", "password": "first", "type": "watch"},
        {"device_id": "H-1", "username": "H-1", "password": "second", "type": "gateway"},
        {"device_id": "D-1", "gateway": "H-1", "type": "door", "password": None},
        {"device_id": "W-2", "username": "W-2", "password": "wrong", "type": "watch"},
    ]
    file = tmp_path / "devices.json"
    file.write_text(json.dumps(devices))
    options = ["--scenario", scenario(CUT), "--credentials", str(file), "--seconds", "0.5"]
    try:
        report = simulate(broker.address, *options, "--devices", "3").finish()
        witness.catch_up()
        assert report["connected"] == 3
        assert_witnessed(report, witness)

        simulator = simulate(broker.address, *options, "--settle", "0.5")
        report = simulator.finish(expect=1)
        assert (report["devices"], report["connected"]) == (4, 3)
        assert report["by_device"]["W-2"]["messages"] == 0
        assert report["unacknowledged"] > 0
    finally:
        witness.close()
        broker.stop()
