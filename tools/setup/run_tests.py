"""Runs every test: the parallel ones on both cores, then those that want the machine to themselves.

A test marked `alone` (faults, journeys with their own stack, throughput) disturbs and is disturbed
by others. Arguments are passed on to pytest. The files run in the order of tests/conftest.py, the
longest first, and there is one worker more than two cores have: tests wait for servers, too.
"""

import subprocess
import sys


def main(arguments: list[str]) -> int:
    """Return the exit code of the first part that failed, or 0."""
    base = [sys.executable, "-m", "pytest", "-q", *arguments]
    if any(not word.startswith("-") for word in arguments):
        return subprocess.run(base, check=False).returncode
    parts = (
        [*base, "-m", "not alone", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"],
        [*base, "-m", "alone"],
    )
    codes = [subprocess.run(part, check=False).returncode for part in parts]
    return next((code for code in codes if code != 0), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
