"""How much a sender may ask for: buckets of tokens in the memory of this process."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Buckets:
    """One bucket for each sender: `burst` at once, refilled by `rate` a second.

    At most `size` senders are remembered; the one that was silent the longest is forgotten first.
    """

    def __init__(self, *, rate: float, burst: float, size: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._size = size
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def wait(self, sender: Hashable, at: float, cost: float = 1.0) -> float:
        """Seconds that a sender has to wait at a moment (monotonic, s) before it may ask.

        What costs more than the burst may be asked for when the bucket is full.
        """
        bucket = self._buckets.get(sender)
        if bucket is None:
            return 0.0
        cost = min(cost, self._burst)
        left = min(self._burst, bucket.left + (at - bucket.at) * self._rate)
        return 0.0 if left >= cost else (cost - left) / self._rate

    def take(self, sender: Hashable, at: float, cost: float = 1.0) -> None:
        """Count one request, whether there was room for it or not."""
        bucket = self._buckets.pop(sender, None) or _Bucket(self._burst, at)
        left = min(self._burst, bucket.left + max(0.0, at - bucket.at) * self._rate)
        self._buckets[sender] = _Bucket(max(0.0, left - cost), at)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)

    def give_back(self, sender: Hashable, cost: float = 1.0) -> None:
        """Undo a `take` that turned out not to be needed."""
        bucket = self._buckets.get(sender)
        if bucket is not None:
            bucket.left = min(self._burst, bucket.left + cost)


class Recent:
    """The last `size` things that were noted."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._noted: OrderedDict[Hashable, None] = OrderedDict()

    def __contains__(self, thing: Hashable) -> bool:
        return thing in self._noted

    def note(self, thing: Hashable) -> None:
        """Remember it as the latest."""
        self._noted[thing] = None
        self._noted.move_to_end(thing)
        if len(self._noted) > self._size:
            self._noted.popitem(last=False)

    def forget(self, thing: Hashable) -> None:
        """Forget it, if it was noted."""
        self._noted.pop(thing, None)
