"""What a message says, asked in the words of those who want to know. Pure."""

from collections.abc import Iterable, Iterator

from devices.messages import CommandAck, UpdateProgress
from devices.registry.model import Address
from ingest.detection.defaults import CLOCK_LIMIT, VITALS
from ingest.detection.service import Case, device_subject, elder_subject
from ingest.detection.store import Movement
from ingest.telemetry.model import Quality
from ingest.work import Part, Work


def addresses(work: Work) -> Iterator[Address]:
    """Who speaks in a frame, and through whom."""
    codec = work.delivery.codec
    if codec is None or work.decoded is None:
        return
    for message in work.decoded.messages:
        yield Address(codec.name, message.device)
        if message.via:
            yield Address(codec.name, message.via)


def place(part: Part) -> tuple[int, int, int]:
    """Where it stands among all that was taken in."""
    return part.place


def case(part: Part) -> Case:
    """It as the rules see it."""
    return Case(
        part.device,
        part.watch,
        part.observation,
        part.signals,
        bool(part.movement),
        is_test(part),
    )


def is_test(part: Part) -> bool:
    """Whether it says itself that it is a test, or comes from a device in test mode."""
    return bool(part.quality & Quality.TEST)


def subjects(part: Part) -> Iterator[str]:
    """Whose conditions it concerns."""
    yield device_subject(part.device.no)
    if part.device.elder_id is not None:
        yield elder_subject(part.device)


def concerns_vitals(part: Part) -> bool:
    """Whether the rules of vitals may come to something else because of this message.

    Its values may open a condition, its time too; and whoever has gone must not be taken to be
    there because of what it said before.
    """
    offset = part.observation.clock_offset_s
    return (
        any(each.metric in VITALS for each in part.measured)
        or (offset is not None and abs(offset) > CLOCK_LIMIT.total_seconds())
        or has_gone(part)
    )


def has_gone(part: Part) -> bool:
    """Whether it is a last will or a goodbye."""
    status = part.message.status
    return status is not None and status.online is False


def acks(parts: Iterable[Part]) -> Iterator[tuple[int, CommandAck]]:
    """Answers to commands, with the number of the device."""
    for part in parts:
        if part.message.ack is not None:
            yield part.device.no, part.message.ack


def routes(parts: Iterable[Part]) -> dict[int, tuple[str, str]]:
    """By which codec and where platforms keep their devices, by the number of the device."""
    return {part.device.no: part.route for part in parts if part.route is not None}


def updates(parts: Iterable[Part]) -> Iterator[tuple[int, UpdateProgress]]:
    """How far devices are with a new firmware, with their numbers."""
    for part in parts:
        status = part.message.status
        if status is not None and status.update is not None:
            yield part.device.no, status.update


def movements(parts: Iterable[Part]) -> list[Movement]:
    """Signs that elders move about."""
    return [
        Movement(part.device.elder_id, part.at, part.device.no, part.movement)
        for part in parts
        if part.movement and part.device.elder_id is not None and not is_test(part)
    ]
