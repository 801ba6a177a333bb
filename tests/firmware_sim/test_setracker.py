"""Setracker watches over real TCP, against a server that knows nothing but brackets."""

from collections.abc import Callable
from datetime import UTC, datetime

from .conftest import Simulator, WatchServer, wait_until

Simulate = Callable[..., Simulator]
Write = Callable[[str], str]

WATCHES = """
[fleet]
setracker = 1
[every]
vitals = 0.3
status = 0.3
location = 0.3
[[event]]
do = "alarm"
kind = "sos"
at = 0.6
count = 1
"""
CUT = """
[[event]]
do = "unplug"
at = 0.8
lasting = 1.0
"""


def test_watches_speak_frames_that_a_bracket_parser_reads(
    server: WatchServer, simulate: Simulate, scenario: Write
) -> None:
    options = ["--scenario", scenario(WATCHES), "--devices", "5", "--seconds", "1.6"]
    simulator = simulate("127.0.0.1:9", *options, "--tcp", f"127.0.0.1:{server.port}")
    report = simulator.finish()["tcp"]

    assert server.words()[0] == "LK", "a watch logs in first"
    assert set(server.words()) == {"LK", "UD_LTE", "AL_LTE", "bphrt", "oxygen", "btemp2"}
    assert report["devices"] == report["connected"] == len({d for d, _ in server.frames}) == 5
    assert report["frames_sent"] == report["frames_confirmed"] == len(server.frames)
    assert report["unconfirmed"] == 0
    assert report["answers_by_command"] == {
        "LK": server.words().count("LK"),
        "AL": server.words().count("AL_LTE"),
    }
    assert report["alarms_published"] == 1
    metrics = report["readings_by_metric"]
    assert metrics["heart_rate"] == metrics["bp_systolic"] == server.words().count("bphrt")
    assert metrics["spo2"] == server.words().count("oxygen")
    assert metrics["body_temperature"] == server.words().count("btemp2")
    with_battery = len(server.frames) - 3 * server.words().count("bphrt")
    assert metrics["steps"] == metrics["battery"] == with_battery

    (alarm,) = server.contents("AL_LTE")
    assert alarm[15] == "00010000"
    (logged,) = simulator.alarms()
    assert (logged["kind"], logged["seq"], logged["active"]) == ("sos", None, True)
    for fields in server.contents("UD_LTE"):
        at = datetime.strptime(f"{fields[0]} {fields[1]} +0000", "%d%m%y %H%M%S %z")
        assert abs((datetime.now(UTC) - at).total_seconds()) < 60
        assert fields[2] == "A"
        assert 40.7 < float(fields[3]) < 40.9
        assert 111.6 < float(fields[5]) < 111.8
        assert (fields[4], fields[6], fields[15]) == ("N", "E", "00000000")
        assert 1 <= int(fields[12]) <= 100
        float(fields[-1])
    for systolic, diastolic, pulse, *_ in server.contents("bphrt"):
        assert 90 < int(systolic) < 160
        assert 50 < int(diastolic) < 100
        assert 50 < int(pulse) < 120
    escaped = [
        content for _, content in server.frames if b"Home}\x022.4G}\x03}\x04}\x05{" in content
    ]
    assert escaped, "a wifi name with brackets, comma and star travels escaped"


def test_positions_of_a_dead_spot_come_later_and_nothing_twice(
    server: WatchServer, simulate: Simulate, scenario: Write
) -> None:
    options = ["--scenario", scenario(WATCHES + CUT), "--devices", "2", "--seconds", "3.2"]
    simulator = simulate("127.0.0.1:9", *options, "--tcp", f"127.0.0.1:{server.port}")
    report = simulator.finish()["tcp"]

    assert server.connections == 4
    assert report["reconnects"] == 2
    stored = server.contents("UD2")
    assert len(stored) >= 4
    assert report["positions_published"] == len(
        {c for _, c in server.frames if c.startswith((b"UD", b"AL"))}
    )
    assert report["unconfirmed"] == 0
    assert report["alarms_published"] == 1


def test_watch_obeys_the_server(server: WatchServer, simulate: Simulate, scenario: Write) -> None:
    quiet = "[fleet]\nsetracker = 1\n[every]\nvitals = 60\nstatus = 0.2\nlocation = 3600\n"
    options = ["--scenario", scenario(quiet), "--devices", "1"]
    simulator = simulate("127.0.0.1:9", *options, "--tcp", f"127.0.0.1:{server.port}")
    wait_until(lambda: "LK" in server.words(), "the login")
    server.command(b"CR")
    wait_until(lambda: "UD_LTE" in server.words(), "a position")
    assert "CR" in server.words()
    server.command(b"FIND")
    wait_until(lambda: "FIND" in server.words(), "the echo of FIND")
    simulator.interrupt()
    report = simulator.finish()["tcp"]
    assert report["commands_received"] == 2
    assert report["unconfirmed"] == 0
