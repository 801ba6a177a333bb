"""The command line of the simulator."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `devices` None: all of the credentials file, or 50 made-up ones."""

    scenario: str
    devices: int | None
    seconds: float | None
    settle: float
    broker: tuple[str, int]
    tcp: tuple[str, int]
    credentials: Path | None
    provision: str | None
    batch: str
    batch_type: str
    report: Path | None
    alarm_log: Path | None
    history: Path | None
    seed: int
    rate: float
    mqtt: int
    json: bool
    control: bool
    quiet: bool


def parse(argv: Sequence[str] | None = None) -> Options:
    """Read the command line; a mistake is a sentence on standard error and exit 2."""
    return Options(**vars(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="firmware-sim",
        description="Simulated devices of elders' homes, on real MQTT and real TCP.",
        epilog="Scenarios are TOML files in the folder scenarios, or any path that ends in .toml.",
    )
    add = parser.add_argument
    add("--scenario", default="mixed", help="name or path of a scenario (default: mixed)")
    add("--devices", type=_count, help="how many (default: all credentials, or 50)")
    add("--seconds", type=_positive, help="end after so long (default: on Ctrl-C)")
    add("--settle", type=_positive, default=10.0, help="seconds to wait for what is missing (10)")
    add("--broker", type=_address, default=("127.0.0.1", 1883), metavar="HOST:PORT")
    add("--tcp", type=_address, default=("127.0.0.1", 5093), metavar="HOST:PORT")
    add("--credentials", type=Path, metavar="FILE", help="JSON list of devices and passwords")
    add("--provision", metavar="URL", help="register at this server where there are no credentials")
    add("--batch", default="", help="name of the batch; its key is in FIRMWARE_SIM_BATCH_KEY")
    add("--batch-type", default="watch", help="what the devices of the batch are (default: watch)")
    add("--report", type=Path, metavar="FILE", help="write the report here")
    add("--alarm-log", type=Path, metavar="FILE", help="write a JSON line for every alarm here")
    add("--history", type=Path, metavar="FILE", help="connect nowhere: write the past as CSV here")
    add("--seed", type=int, default=1, help="same seed, same people (default: 1)")
    add("--rate", type=_positive, default=1.0, help="so many times as many messages (default: 1)")
    add("--mqtt", type=int, choices=(4, 5), default=4, help="4 is MQTT 3.1.1, 5 is MQTT 5.0")
    add("--json", action="store_true", help="print the report as one line on standard output")
    add("--control", action="store_true", help="take commands from standard input")
    add("--quiet", action="store_true", help="no progress lines")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100_000:
        raise argparse.ArgumentTypeError("must be from 1 to 100000")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise argparse.ArgumentTypeError("must look like 127.0.0.1:1883")
    return host.strip("[]"), int(port)
