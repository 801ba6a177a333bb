"""Runs every test: the parallel ones on both cores, then those that want the machine to themselves.

A test marked `alone` (faults, journeys with their own stack, throughput) disturbs and is disturbed
by others, but waits more than it works: two of them at a time are what two cores can bear. They run
in two lanes, so that an installation which several tests break one after the other starts once.
Arguments are passed on to pytest. The files run in the order of tests/conftest.py, the longest
first, and there is one worker more than two cores have: tests wait for servers, too.
"""

import subprocess
import sys
import tempfile

PARALLEL = ("-m", "not alone", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
LANES = ("embedded or headless", "not (embedded or headless)")


def main(arguments: list[str]) -> int:
    """Return the exit code of the first part that failed, or 0."""
    base = [sys.executable, "-m", "pytest", "-q", *arguments]
    if any(not word.startswith("-") for word in arguments):
        return subprocess.run(base, check=False).returncode
    codes = [subprocess.run([*base, *PARALLEL], check=False).returncode]
    codes += in_lanes([[*base, "-m", "alone", "-k", lane] for lane in LANES])
    return next((code for code in codes if code != 0), 0)


def in_lanes(commands: list[list[str]]) -> list[int]:
    """Run commands side by side; what each says is shown in one piece when it has ended."""
    running = []
    for command in commands:
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, when it has been shown
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        running.append((process, said))
    codes = []
    for process, said in running:
        codes.append(process.wait())
        said.seek(0)
        with said:
            sys.stdout.buffer.write(said.read())
        sys.stdout.flush()
    return codes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
