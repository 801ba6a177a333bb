"""Installs what the tests need beside Python packages: Chromium, Chinese fonts, mosquitto.

As root on Debian they come by apt; else this says what is missing and how to get it. With CI=true
something that is missing is a failure.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def _has_chromium() -> bool:
    # Any of them does (tests/browsing.py); the shell is the smallest.
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return any(shutil.which(name) for name in names)


def _has_fonts() -> bool:
    folders = (Path("/usr/share/fonts/opentype/noto"), Path("/usr/share/fonts/noto-cjk"))
    return any(f.is_dir() and any(f.glob("NotoSansCJK*")) for f in folders)


def _has_mosquitto() -> bool:
    return bool(shutil.which("mosquitto")) or Path("/usr/sbin/mosquitto").exists()


def _has_debootstrap() -> bool:
    # Only root can run the TimescaleDB lab.
    return os.geteuid() != 0 or bool(shutil.which("debootstrap"))


def _has_iproute2() -> bool:
    return bool(shutil.which("ip"))


def _has_util_linux() -> bool:
    return all(shutil.which(name) for name in ("setpriv", "unshare", "nsenter"))


@dataclass(frozen=True, slots=True)
class Part:
    """A Debian package and how to see whether it is there."""

    package: str
    purpose: str
    present: Callable[[], bool]


PARTS = (
    Part("chromium-headless-shell", "the browser journeys", _has_chromium),
    Part("fonts-noto-cjk", "Chinese letters on the screenshots", _has_fonts),
    Part("mosquitto", "ingest against a real MQTT broker", _has_mosquitto),
    Part("debootstrap", "the TimescaleDB lab", _has_debootstrap),
    Part("iproute2", "cutting the network between ingest and broker", _has_iproute2),
    Part("util-linux", "namespaces to cut networks in, PostgreSQL without root", _has_util_linux),
)


def main() -> int:
    """Install what is missing; return the exit code."""
    missing = [part for part in PARTS if not part.present()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        _install([part.package for part in missing])
        missing = [part for part in PARTS if not part.present()]
    for part in missing:
        print(f"missing: {part.package}, needed for {part.purpose}", file=sys.stderr)
    if not missing:
        return 0
    packages = " ".join(part.package for part in missing)
    print(f"install with: sudo apt-get install {packages}", file=sys.stderr)
    in_ci = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
    return 1 if in_ci else 0


def _install(packages: list[str]) -> None:
    print(f"→ Debian packages: {' '.join(packages)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # A service that a package brings must not start here: the tests start their own.
    policy = Path("/usr/sbin/policy-rc.d")
    made_policy = not policy.exists()
    if made_policy:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                print(result.stderr.strip() or result.stdout.strip(), file=sys.stderr)
    finally:
        if made_policy:
            policy.unlink()


if __name__ == "__main__":
    sys.exit(main())
