"""TimescaleDB's Community edition for tests, on any machine: PostgreSQL in WebAssembly.

    python -m tools.lab.community install    what package-lock.json names, into tools/lab/pglite
    python -m tools.lab.community up         run it until Ctrl-C; prints its URL

The edition is in no Debian and no PyPI package; tools/lab/pglite says what its WebAssembly form can
and cannot do. For a test only: everything is in memory, and everybody on this machine may connect.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools.assets import install, node_command
from tools.lab.errors import LabError

FOLDER = Path(__file__).resolve().parent / "pglite"


@dataclass(slots=True)
class CommunityServer:
    """A running server; it ends with this process, or at the end of a `with`."""

    process: "subprocess.Popen[str]"
    url: str

    @classmethod
    def start(cls) -> Self:
        """Start it on a free port of the loopback interface. Raises LabError."""
        process = subprocess.Popen(
            [*node_command(), "server.mjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        port = process.stdout.readline().strip() if process.stdout else ""
        if not port:
            raise LabError("TimescaleDB in WebAssembly did not start: run `make setup` once")
        return cls(process, f"postgresql://postgres@127.0.0.1:{port}/postgres")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        # It ends when its standard input does.
        self.process.communicate()


def main(arguments: list[str]) -> int:
    """Do what the one argument says; return the exit code."""
    match arguments:
        case ["install"]:
            install(FOLDER)
        case ["up"]:
            install(FOLDER)
            return _run()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def _run() -> int:
    try:
        with CommunityServer.start() as server:
            print(server.url, flush=True)
            return server.process.wait()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
