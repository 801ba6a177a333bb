"""What messages say of the devices themselves: seen, online, battery, firmware, last fix. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from devices.messages import PLATFORM_SAYS, Flag
from ingest.store import Touch
from ingest.work import Part

LIVE = timedelta(minutes=10)
"""What was received longer ago (a replayed dead letter) says nothing of how the device is now."""


def touches(parts: Iterable[Part], now: datetime) -> dict[int, Touch]:
    """Sum up what messages, in their order, say of each device and of the gateways they came by."""
    found: dict[int, Touch] = {}
    for part in parts:
        _note(found.setdefault(part.device.no, Touch(part.device.no)), part, now)
        gateway_no = part.device.gateway_no
        if gateway_no is not None and _came_by_gateway(part) and _live(part, now):
            gateway = found.setdefault(gateway_no, Touch(gateway_no))
            _seen(gateway, part.received_at)
    return found


def _note(touch: Touch, part: Part, now: datetime) -> None:
    status = part.message.status
    if status is not None and status.online is False:
        # A last will: the broker speaks of a device that has gone. That is no sign of life.
        if _live(part, now):
            touch.online, touch.gone_at = False, part.received_at
    elif _live(part, now) and part.message.kind != PLATFORM_SAYS:
        _seen(touch, part.received_at)
    if status is not None and not _from_before(part, now):
        touch.battery = _newer(status.battery_percent, touch.battery)
        touch.firmware = status.firmware or touch.firmware
    position = part.observation.position
    if position is not None:
        at = position.at or part.at
        if touch.position_at is None or at >= touch.position_at:
            touch.lat, touch.lon = position.lat, position.lon
            touch.accuracy_m, touch.position_at = position.accuracy_m, at


def _seen(touch: Touch, at: datetime) -> None:
    touch.seen_at = at if touch.seen_at is None else max(touch.seen_at, at)
    touch.online = True


def _newer(value: float | None, known: float | None) -> float | None:
    return known if value is None else value


def _live(part: Part, now: datetime) -> bool:
    return not part.retained and now - part.received_at < LIVE


def _from_before(part: Part, now: datetime) -> bool:
    """Whether it tells of a state long gone: from a device's buffer, or a replayed dead letter.

    What a broker retains is the last word on its topic and tells of now.
    """
    waited = not part.retained and now - part.received_at >= LIVE
    return waited or Flag.REPLAYED in part.message.flags


def _came_by_gateway(part: Part) -> bool:
    return bool(part.message.via) or part.bridged
