"""A device simulator: elders' devices on real MQTT and real TCP.

It imports nothing of the rest of the project: it is an independent witness of the wire protocol,
and what it counted can be held against what the server stored. Exit code 0: everything was
acknowledged; 1: something was not, or a device never reached its server; 2: wrong use.

    python firmware-sim --scenario fall --devices 50 --seconds 60 --json
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from conductor import Conductor
from control_line import ControlLine
from enrolment import enrol
from fleet import Fleet, Surroundings
from history import History
from mqtt_link import Broker
from roster import TYPES, Identity, RosterError, load, make_up, take
from scenario import Scenario, ScenarioError
from scenario import load as load_scenario
from setracker_watch import TcpServer
from sim_clock import now_ms
from sim_options import Options, parse
from tally import AlarmLog, Tally

_DEFAULT_DEVICES = 50
_PROGRESS_EVERY = 5.0  # seconds
_GRACE = 3.0  # seconds that devices may take to connect before the scenario's clock starts


def main() -> int:
    """Run the simulator; the exit code."""
    options = parse()
    try:
        scenario = load_scenario(options.scenario)
        roster = _roster(options, scenario)
        alarm_log = AlarmLog(options.alarm_log)
    except (ScenarioError, RosterError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Cannot write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    if options.history is not None:
        return _look_back(options, scenario, roster)
    report = asyncio.run(_simulate(options, scenario, roster, alarm_log))
    return _hand_in(options, report)


def _look_back(options: Options, scenario: Scenario, roster: list[Identity]) -> int:
    if options.history is None or options.seconds is None:
        print("A history needs --seconds: how far back it begins.", file=sys.stderr)
        return 2
    past = History(scenario, roster, options.seed, now_ms(), options.seconds)
    try:
        past.write(options.history)
    except OSError as error:
        print(f"Cannot write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    for onset in past.onsets:
        print(json.dumps(onset, ensure_ascii=False))
    return 0


def _roster(options: Options, scenario: Scenario) -> list[Identity]:
    if options.provision is not None:
        return _enrolled(options, options.provision)
    if options.credentials is not None:
        roster = load(options.credentials)
        return roster if options.devices is None else take(roster, options.devices)
    count = options.devices or _DEFAULT_DEVICES
    return make_up(count, scenario.fleet, scenario.serves, scenario.gateway_size)


def _enrolled(options: Options, url: str) -> list[Identity]:
    """The devices of a batch: from their credentials, which the first start has registered for."""
    kept = options.credentials
    if kept is None or not options.batch or options.batch_type not in TYPES:
        raise RosterError(
            "--provision needs --batch, --credentials for what comes, and a known type."
        )
    if kept.exists():
        return load(kept)
    fresh = make_up(options.devices or 1, {options.batch_type: 1.0}, frozenset(), 1)
    return enrol(url, options.batch, fresh, kept)


async def _simulate(
    options: Options, scenario: Scenario, roster: list[Identity], alarm_log: AlarmLog
) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    tally = Tally(alarm_log, quiet=options.quiet)

    def end() -> None:
        # A second signal does not wait for acknowledgements any longer.
        (hurry if stop.is_set() else stop).set()
        tally.changed.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    fleet = Fleet(roster, _surroundings(options, scenario, tally))
    fleet.start()
    await fleet.until_connected(min(_GRACE, options.settle))
    conductor = Conductor(fleet, scenario, tally, rate=options.rate, seed=options.seed)
    conductor.start()
    if options.control:
        ControlLine(fleet, stop.set).start()
    await _until(stop, options.seconds, fleet, tally)
    stop.set()
    conductor.stop()
    await fleet.settle(options.settle, hurry)
    waiting, ended = fleet.mqtt_waiting, now_ms()
    await fleet.dismiss()
    alarm_log.close()
    return tally.report(reachable=fleet.reached, waiting=waiting, ended_ms=ended)


def _surroundings(options: Options, scenario: Scenario, tally: Tally) -> Surroundings:
    host, port = options.broker
    broker = Broker(host, port, options.mqtt, tally, buffer=scenario.buffer_messages)
    # Counters begin anew with every run; milliseconds in base 36 tell the runs apart.
    sid = _base36(now_ms())
    return Surroundings(broker, TcpServer(*options.tcp), tally, scenario, options.seed, sid)


async def _until(stop: asyncio.Event, seconds: float | None, fleet: Fleet, tally: Tally) -> None:
    """Wait for `stop`, at most `seconds`, with a line of progress now and then."""
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    while not stop.is_set():
        left = _PROGRESS_EVERY if deadline is None else deadline - loop.time()
        if left <= 0:
            return
        try:
            async with asyncio.timeout(min(left, _PROGRESS_EVERY)):
                await stop.wait()
        except TimeoutError:
            tally.progress(fleet.waiting)


def _hand_in(options: Options, report: dict[str, Any]) -> int:
    if options.report is not None:
        try:
            _replace(options.report, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
        except OSError as error:
            print(f"Cannot write the report {options.report}: {error.strerror}.", file=sys.stderr)
            return 2
    if options.json:
        print(json.dumps(report, ensure_ascii=False), flush=True)
    else:
        brief = {key: value for key, value in report.items() if not isinstance(value, dict)}
        for key, value in brief.items():
            print(f"{key:20} {value}")
    faults = [report[key] for key in ("unacknowledged", "rejected", "dropped")]
    faults += [report["tcp"]["unconfirmed"], report["devices"] - report["connected"]]
    return 1 if any(faults) else 0


def _replace(path: Path, text: str) -> None:
    """Write so that a reader never sees half of the report."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


if __name__ == "__main__":
    sys.exit(main())
