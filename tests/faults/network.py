"""A network of its own for a process, joined to this machine by a line that can be cut.

A network namespace with a veth pair (veth(4), ip-netns(8)): while the line is down, packets of
either side go nowhere and nobody is told, as with a cable that is pulled out somewhere on the way.
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
    """The way between this machine (`OUTSIDE`) and a process in the namespace (`INSIDE`)."""

    namespace: str
    link: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a command at the other end."""
        return ("ip", "netns", "exec", self.namespace)

    def cut(self) -> None:
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        _ip("link", "set", self.link, "up")


@contextmanager
def line() -> Iterator[Line]:
    """A namespace with a line to it; both are gone afterwards. Needs root and iproute2."""
    one = Line(f"silverline-{os.getpid()}", f"sl{os.getpid()}")
    peer = f"{one.link}i"
    _ip("netns", "add", one.namespace)
    try:
        _ip("link", "add", one.link, "type", "veth", "peer", "name", peer, "netns", one.namespace)
        _ip("addr", "add", f"{OUTSIDE}/30", "dev", one.link)
        _ip("link", "set", one.link, "up")
        _ip("-n", one.namespace, "addr", "add", f"{INSIDE}/30", "dev", peer)
        _ip("-n", one.namespace, "link", "set", peer, "up")
        _ip("-n", one.namespace, "link", "set", "lo", "up")
        yield one
    finally:
        # Its end of the pair goes with it, and the other end with that one.
        _ip("netns", "delete", one.namespace)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
