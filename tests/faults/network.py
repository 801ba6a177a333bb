"""A network of its own for a process, joined to this machine by a line that can be cut.

A network namespace with a veth pair (veth(4), network_namespaces(7)): while the line is down,
packets of either side go nowhere and nobody is told, as with a cable that is pulled out somewhere
on the way.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

OUTSIDE, INSIDE = "10.213.77.1", "10.213.77.2"
"""Addresses of the two ends, of a private network (RFC 1918) that nothing else is likely to use."""


@dataclass(frozen=True)
class Line:
    """The way between this machine (`OUTSIDE`) and processes in a namespace (`INSIDE`)."""

    keeper: int
    link: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a command at the other end."""
        return ("nsenter", f"--net=/proc/{self.keeper}/ns/net", "--")

    def cut(self) -> None:
        _run("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        _run("ip", "link", "set", self.link, "up")


@contextmanager
def line() -> Iterator[Line]:
    """A namespace with a line to it; both are gone afterwards. For tests marked `isolated`."""
    # A process keeps the namespace, and not a name in /run/netns: only root can write that.
    keep = ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"]
    with subprocess.Popen(keep, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        one = Line(keeper.pid, f"sl{os.getpid()}")
        peer = f"{one.link}i"
        try:
            _run(
                "ip",
                "link",
                "add",
                one.link,
                "type",
                "veth",
                "peer",
                peer,
                "netns",
                str(one.keeper),
            )
            _run("ip", "addr", "add", f"{OUTSIDE}/30", "dev", one.link)
            _run("ip", "link", "set", one.link, "up")
            _run(*one.prefix, "ip", "addr", "add", f"{INSIDE}/30", "dev", peer)
            _run(*one.prefix, "ip", "link", "set", peer, "up")
            _run(*one.prefix, "ip", "link", "set", "lo", "up")
            yield one
        finally:
            # The other end of the pair goes with it. The namespace itself goes in its own time.
            subprocess.run(["ip", "link", "delete", one.link], check=False, capture_output=True)
            keeper.kill()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
