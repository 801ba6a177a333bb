"""How much of what nobody can use is kept: the first of it from each sender, then only its count.

Whoever reaches a port without a login can send what he likes, and dead letters stay until somebody
has looked at them: without a bound, a flood fills the disk. A sender that speaks for a device of
the registry has an allowance of its own, so that the flood of others leaves its evidence alone.
Decision and figures: docs/decisions/0011-dead-letters-of-strangers.md.
"""

import ipaddress
import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from ingest import metrics
from ingest.deadletters.model import Draft
from ingest.limits import Buckets
from kernel.clock import monotonic

REASON = "not_kept"
_UNIT = 1024
_REFILL_SECONDS = 6 * 3600.0
_NAMED = 100
"""So many senders have a row of their own between two notes; the rest share one."""
_OTHERS = "*"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who is charged: a device of the registry, or the network address of a stranger."""

    name: str
    known: bool = False


def stranger(address: str) -> Sender:
    """Return who stands behind a peer's address: with IPv6 the /64, which is one customer's."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Sender(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return Sender(str(ip.ipv4_mapped))
        return Sender(str(ipaddress.ip_network((ip, 64), strict=False)))
    return Sender(str(ip))


@dataclass(frozen=True, slots=True)
class NotKept:
    """How many frames of a sender, and bytes in them, went beyond its allowance."""

    sender: Sender
    frames: int
    size: int


class Allowance:
    """What one listener may keep; all of it flows in again within six hours.

    The figures are units of 1 KiB, at least one for each frame: `per_address` for a stranger,
    `in_all` for all strangers together, `per_device` for a device of the registry.
    """

    def __init__(
        self, transport: str, codec: str, *, per_address: int, in_all: int, per_device: int
    ) -> None:
        self._transport = transport
        self._codec = codec
        self._strangers = Buckets(rate=per_address / _REFILL_SECONDS, burst=per_address)
        self._all = Buckets(rate=in_all / _REFILL_SECONDS, burst=in_all)
        self._devices = Buckets(rate=per_device / _REFILL_SECONDS, burst=per_device)
        self._frames: Counter[Sender] = Counter()
        self._sizes: Counter[Sender] = Counter()

    def claim(self, sender: Sender, size: int) -> bool:
        """Take what a frame of `size` bytes would cost; False, and nothing taken, without room."""
        at, cost = monotonic(), _cost(size)
        charged = self._charged(sender)
        if any(buckets.wait(name, at, cost) for buckets, name in charged):
            return False
        for buckets, name in charged:
            buckets.take(name, at, cost)
        return True

    def give_back(self, sender: Sender, size: int) -> None:
        """The frame was of use: nothing of it was kept aside."""
        for buckets, name in self._charged(sender):
            buckets.give_back(name, _cost(size))

    def refuse(self, sender: Sender, size: int) -> None:
        """Count a frame that is not kept."""
        metrics.NOT_KEPT.labels(self._transport, self._codec).inc()
        if sender not in self._frames and len(self._frames) >= _NAMED:
            sender = Sender(_OTHERS)
        self._frames[sender] += 1
        self._sizes[sender] += size

    def take_counts(self) -> list[NotKept]:
        """Return what was not kept since the last time, to be noted."""
        found = [NotKept(who, count, self._sizes[who]) for who, count in self._frames.items()]
        self._frames.clear()
        self._sizes.clear()
        return found

    def put_back(self, counts: list[NotKept]) -> None:
        """They could not be noted: they count with the next ones."""
        for each in counts:
            self._frames[each.sender] += each.frames
            self._sizes[each.sender] += each.size

    def draft(self, counted: NotKept, now: datetime) -> Draft:
        """The row that stands for what was not kept; how many they are is its `occurrences`."""
        name = counted.sender.name
        whose = "further senders" if name == _OTHERS else name
        return Draft(
            received_at=now,
            transport=self._transport,
            codec=self._codec,
            topic=f"{self._codec} ← {whose}",
            address=name if counted.sender.known else "",
            payload=b"",
            reason=REASON,
            detail=f"More frames of {whose} than are kept; these were only counted.",
        )

    def _charged(self, sender: Sender) -> list[tuple[Buckets, str]]:
        if sender.known:
            return [(self._devices, sender.name)]
        return [(self._strangers, sender.name), (self._all, "")]


def _cost(size: int) -> float:
    return max(1.0, math.ceil(size / _UNIT))
