"""The steps of the pipeline that need no database: from bytes to what is stored and judged."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from devices.alarms import ALARM_CLASSES, AlarmKind
from devices.messages import AlarmSignal, CodecError, Decoded, Flag, Message, Reading
from devices.metrics import METRICS
from devices.modes.model import DeviceMode
from devices.profiles import PROFILES, interpret
from devices.registry.model import DeviceContext, DeviceState
from ingest import metrics
from ingest.detection.defaults import FRESH
from ingest.detection.model import Measured, Observation
from ingest.detection.movement import MovementTracker
from ingest.identity import identify
from ingest.telemetry.model import Quality, ReadingRow
from ingest.work import Delivery, Part, Work

FUTURE = timedelta(minutes=5)
PAST = timedelta(days=400)


def decode(delivery: Delivery) -> Work:
    """Bytes → messages. What the codec refuses becomes a dead letter, whole or in part."""
    work = Work(delivery)
    if delivery.codec is None:
        work.refuse("unknown_topic", "no codec serves this topic")
        return work
    metrics.FRAMES.labels(delivery.transport, delivery.codec.name).inc()
    try:
        work.decoded = delivery.codec.decode(delivery.frame)
    except CodecError as error:
        work.refuse(error.reason, str(error))
        return work
    if delivery.transport == "tcp":
        work.decoded = sign_of_life(work.decoded)
    if work.decoded.warnings:
        metrics.ODDITIES.labels(delivery.codec.name).inc(len(work.decoded.warnings))
    for reject in work.decoded.rejects:
        work.refuse(reject.reason, reject.text, payload=reject.payload)
    return work


def sign_of_life(decoded: Decoded) -> Decoded:
    """A login or a keep-alive has nothing to store, but somebody is there who sent it.

    It becomes a status without content: a locator that reports only when it moves is not taken for
    silent, and one that nobody has registered is not answered but kept aside.
    """
    broken = any(warning.startswith("bad_checksum") for warning in decoded.warnings)
    if broken or decoded.messages or decoded.rejects or not decoded.device:
        return decoded
    beat = Message(decoded.device, "status", flags=frozenset({Flag.TIME_MISSING}))
    return replace(decoded, messages=(beat,))


def refusal(
    device: DeviceContext, gateway: DeviceContext | None, work: Work, via: str
) -> tuple[str, str] | None:
    """Why this device's message cannot be taken from this sender: (reason, sentence), or None.

    A gateway speaks for its own sub-devices only, a bridge in its own tree of topics only.
    """
    if device.state is DeviceState.RETIRED:
        return "device_retired", f"{device.id} is retired"
    if via and gateway is None:
        return "unknown_gateway", "the gateway is not in the registry"
    if gateway is not None and gateway.no not in (device.no, device.gateway_no):
        return "foreign_device", f"{device.id} does not belong to gateway {gateway.id}"
    topic = work.delivery.frame.topic
    bridge = PROFILES.get(device.gateway_profile or "")
    if bridge is None or device.gateway_id is None or not topic or topic.startswith("silverline/"):
        # Our own protocol has the sender's id in the topic, and the broker holds it to that.
        return None
    trees = bridge.bridge_topics(device.gateway_id)
    if any(topic == tree or topic.startswith(f"{tree}/") for tree in trees):
        return None
    return "foreign_topic", f"{device.id} belongs to {device.gateway_id}, which has another topic"


def interpret_states(part: Part, _: Work) -> None:
    """States → alarms, as the model's profile says; the device's own alarms go ahead."""
    profile = PROFILES.get(part.device.profile)
    if profile is not None:
        part.message = interpret(part.message, profile)
    alarms = part.message.alarms
    part.urgent = tuple(each for each in alarms if _is_urgent(each))
    part.signals = tuple(each for each in alarms if not _is_urgent(each))


def _is_urgent(signal: AlarmSignal) -> bool:
    return signal.active and not ALARM_CLASSES[signal.kind].technical


def make_identity(part: Part, work: Work) -> None:
    """What a second copy of the message is recognised by."""
    part.identity = identify(part.device.no, part.message, part.content, work.delivery.arrival)


def check_time(part: Part, _: Work) -> None:
    """The device's time, or that of arrival where it has none or cannot be right."""
    received = part.received_at
    flags = part.message.flags
    part.at = received
    if part.message.at is None:
        part.quality |= Quality.TIME_ESTIMATED
    elif time_is_right(part.message.at, received):
        part.at = part.message.at
        metrics.LATENESS_SECONDS.observe(max(0.0, (received - part.at).total_seconds()))
    else:
        part.message = replace(part.message, flags=flags | {Flag.TIME_IMPLAUSIBLE})
        part.quality |= Quality.TIME_ESTIMATED
    if Flag.REPLAYED in flags:
        part.quality |= Quality.REPLAYED
    if Flag.TEST in flags or part.device.modes.on(DeviceMode.TEST, received):
        part.quality |= Quality.TEST


def time_is_right(at: datetime, received: datetime) -> bool:
    """Not more than 5 minutes in the future, not more than 400 days old."""
    return received - PAST <= at <= received + FUTURE


def take_readings(part: Part, _: Work) -> None:
    """Readings → rows. What cannot be true is kept, flagged, and no rule gets to see it."""
    received = part.received_at
    for reading in _with_status(part.message):
        metric = METRICS.get(reading.metric)
        if metric is None:
            continue
        at, quality = part.at, part.quality
        if reading.at is not None and time_is_right(reading.at, received):
            at = reading.at
        if metric.plausible(reading.value):
            part.measured.append(Measured(reading.metric, reading.value, at))
        else:
            quality |= Quality.IMPLAUSIBLE
            metrics.IMPLAUSIBLE.inc()
        part.rows.append(ReadingRow(at, part.device.no, metric.id, reading.value, int(quality)))


def _with_status(message: Message) -> Iterator[Reading]:
    """The readings, and what a status says of battery and signal, which is a reading too."""
    yield from message.readings
    status = message.status
    if status is None:
        return
    said = {reading.metric for reading in message.readings}
    for metric, value in (("battery", status.battery_percent), ("signal", status.rssi_dbm)):
        if value is not None and metric not in said:
            yield Reading(metric, value)


def _clock_offset(part: Part) -> float | None:
    if part.message.at is None or part.retained or Flag.REPLAYED in part.message.flags:
        return None
    return (part.message.at - part.received_at).total_seconds()


def observe(part: Part, movements: MovementTracker) -> None:
    """What the rules get to see."""
    received = part.received_at
    message = part.message
    profile = PROFILES.get(part.device.profile)
    # A broker hands out a retained message at every new subscription, however old it is.
    undated = part.retained and message.at is None
    position = message.position if message.position and message.position.valid else None
    if position and position.at and not time_is_right(position.at, received):
        position = replace(position, at=None)
    status = message.status
    part.movement = movements.sign(part.device.no, part.measured, message.alarms, message.states)
    part.observation = Observation(
        device_no=part.device.no,
        elder_id=part.device.elder_id,
        at=part.at,
        fresh=received - part.at <= FRESH and not undated,
        readings=tuple(part.measured),
        position=position,
        battery=status.battery_percent if status else None,
        battery_low=next(
            (each.active for each in message.alarms if each.kind is AlarmKind.LOW_BATTERY), None
        ),
        low_battery_percent=profile.low_battery_percent if profile else None,
        clock_offset_s=_clock_offset(part),
    )
