"""Signs that somebody moves about: what the inactivity sweep waits for.

A vital sign is none: somebody who lies on the floor has a pulse. Sensors repeat their last state in
every report, so for most of them only a change counts; the value before is kept in memory. After a
start the first report of a sensor changes nothing that we know of and is therefore no sign.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from devices.alarms import AlarmKind
from devices.messages import AlarmSignal, Scalar
from ingest.detection.model import Measured

_CHANGES = frozenset({"door_open", "bed_occupied"})
_COUNTS = frozenset({"steps", "roll_count"})
_PRESSES = frozenset({"action", "click"})


class MovementTracker:
    """The last value of each sensor, the oldest forgotten first."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._last: OrderedDict[tuple[int, str], float] = OrderedDict()

    def sign(
        self,
        device_no: int,
        readings: Iterable[Measured],
        signals: Iterable[AlarmSignal] = (),
        states: Mapping[str, Scalar] | None = None,
    ) -> str:
        """Return what in a message shows movement, "" for nothing."""
        found = ""
        for reading in readings:
            if self.moved(device_no, reading.metric, reading.value):
                found = found or reading.metric
        if any(each.kind is AlarmKind.SOS and each.active and not each.level for each in signals):
            found = found or "sos"
        if states and not _PRESSES.isdisjoint(states):
            found = found or "button"
        return found

    def moved(self, device_no: int, metric: str, value: float) -> bool:
        """Whether a plausible reading shows movement; it is remembered for the next one."""
        if metric == "motion":
            return value > 0
        if metric not in _CHANGES and metric not in _COUNTS:
            return False
        key = (device_no, metric)
        before = self._last.pop(key, None)
        self._last[key] = value
        if len(self._last) > self._size:
            self._last.popitem(last=False)
        if before is None:
            return False
        if metric in _COUNTS:
            # A counter that goes back was reset at midnight or restarted.
            return value > before
        return value != before
