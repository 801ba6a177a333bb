"""Talking to simulated devices: commands from the server, and the control line."""

import time
from collections.abc import Callable
from typing import Any

from .conftest import Broker, Simulator, Subscriber, wait_until

Simulate = Callable[..., Simulator]
Write = Callable[[str], str]

CALM = """
[fleet]
watch = 2
door = 1
gateway = 1
[gateway]
serves = ["door"]
batch_seconds = 0.1
[every]
vitals = 0.5
"""


def acks(witness: Subscriber, device: str) -> list[dict[str, Any]]:
    return witness.topic(f"silverline/v1/{device}/ack")


def send(witness: Subscriber, device: str, command: dict[str, Any]) -> dict[str, Any]:
    """Send a command; the ack that follows."""
    before = len(acks(witness, device))
    witness.publish(f"silverline/v1/{device}/command", command)
    wait_until(lambda: len(acks(witness, device)) > before, f"an ack of {command}")
    return acks(witness, device)[-1]


def test_commands_are_done_and_acknowledged(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    simulator = simulate(mqtt_broker.address, "--scenario", scenario(CALM), "--devices", "4")
    wait_until(lambda: bool(witness.topic("silverline/v1/W-0001/vitals")), "a device")
    later = int(time.time() * 1000) + 60_000

    def ask(device: str, number: int, name: str, **more: Any) -> tuple[bool, str]:
        command = {"id": f"c{number}", "name": name, "args": {}, "expires": later, **more}
        ack = send(witness, device, command)
        assert ack["command"] == f"c{number}"
        return ack["ok"], ack["detail"]

    before = len(witness.topic("silverline/v1/W-0001/location"))
    assert ask("W-0001", 1, "locate") == (True, "")
    locations = witness.topic("silverline/v1/W-0001/location")
    assert len(locations) == before + 1
    assert 40 < locations[-1]["lat"] < 42
    assert ask("W-0001", 1, "locate") == (True, ""), "a repeated command is answered again"
    assert len(witness.topic("silverline/v1/W-0001/location")) == before + 1, "but not done again"
    assert ask("W-0001", 2, "ring") == (True, "")
    assert ask("W-0001", 3, "speak", args={"text": "请开门"}) == (True, "")
    assert ask("W-0001", 4, "ring", expires=later - 120_000) == (False, "expired")
    assert ask("W-0001", 5, "dance") == (False, "unknown command dance")
    assert ask("W-0001", 6, "set_interval", args={"seconds": 0}) == (
        False,
        "an interval of at least 1 second is needed",
    )
    ok, detail = ask("H-0001", 7, "locate")
    assert not ok
    assert detail

    witness.publish("silverline/v1/W-0001/command", {"nonsense": True})
    assert ask("W-0001", 8, "ring") == (True, ""), "a command without an id harms nobody"
    assert ask("W-0002", 9, "reboot") == (True, "")
    simulator.interrupt()
    report = simulator.finish()
    assert report["unacknowledged"] == 0
    assert report["reconnects"] == 1


def test_control_line_raises_alarms_and_unplugs(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write
) -> None:
    simulator = simulate(
        mqtt_broker.address, "--scenario", scenario(CALM), "--devices", "4", "--control"
    )
    listed = simulator.ask("list")
    assert [device["device"] for device in listed["devices"]] == [
        "H-0001",
        "W-0001",
        "W-0002",
        "D-0001",
    ]
    wait_until(lambda: all(d["online"] for d in simulator.ask("list")["devices"]), "all lines")

    answer = simulator.ask("alarm W-0001 fall")
    assert answer["ok"]
    wait_until(lambda: bool(witness.topic("silverline/v1/W-0001/alarm")), "the alarm")
    alarm = witness.topic("silverline/v1/W-0001/alarm")[0]
    assert (alarm["alarm"], alarm["active"], alarm["seq"]) == ("fall", True, answer["seq"])
    assert set(alarm["position"]) == {"lat", "lon", "accuracy"}
    assert simulator.alarms()[0]["seq"] == answer["seq"]
    assert abs(simulator.alarms()[0]["at_ms"] - answer["at_ms"]) < 30_000

    assert simulator.ask("clear W-0001 fall")["ok"]
    assert simulator.ask("alarm D-0001 door_open")["ok"], "behind a gateway"
    wait_until(lambda: bool(witness.topic("silverline/v1/H-0001/alarm")), "the door's alarm")

    assert simulator.ask("unplug W-0002 0.3") == {
        "ok": True,
        "device": "W-0002",
        "line": "W-0002",
        "seconds": 0.3,
    }

    def history() -> list[bool]:
        return [status["online"] for status in witness.topic("silverline/v1/W-0002/status")]

    wait_until(lambda: False in history(), "the last will")
    wait_until(lambda: history()[-1], "the return")
    for wrong in ("alarm W-9999 fall", "alarm W-0001 hunger", "unplug W-0001 never", "sing"):
        answer = simulator.ask(wrong)
        assert answer["ok"] is False
        assert answer["error"].endswith(".")
    assert simulator.ask("quit") == {"ok": True}
    report = simulator.finish()
    assert report["alarms_published"] == 2
    assert report["reconnects"] == 1


def test_end_of_the_control_line_ends_the_run(
    mqtt_broker: Broker, simulate: Simulate, scenario: Write
) -> None:
    simulator = simulate(
        mqtt_broker.address, "--scenario", scenario(CALM), "--devices", "4", "--control"
    )
    assert simulator.ask("list")["ok"]
    assert simulator.process.stdin is not None
    simulator.process.stdin.close()
    simulator.process.stdin = None
    assert simulator.finish()["unacknowledged"] == 0
