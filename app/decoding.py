"""`silverline decode` and `silverline codecs`: what a codec makes of one frame, as JSON.

Each thing that a message holds becomes one flat record: a reading, an alarm, a position, a status,
a state whose meaning a profile gives, or an acknowledgement.
"""

import binascii
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from devices.codecs import CODECS
from devices.messages import Codec, CodecError, Decoded, Frame, Message, Position
from devices.metrics import METRICS
from devices.profiles import PROFILES, interpret
from kernel.errors import Invalid, NotFound

LONGEST_FRAME = 1024 * 1024


class Undecodable(Invalid):
    """The codec refused the frame; the message is its sentence."""

    code = "undecodable"


def codec_named(name: str) -> Codec:
    """Return a codec; `-` and `_` are the same. Raises NotFound with the known names."""
    found = CODECS.get(name.replace("-", "_").lower())
    if found is None:
        raise NotFound(f"There is no codec {name!r}. Known are: {', '.join(sorted(CODECS))}.")
    return found


def frame_of(
    *, hex_text: str | None, text: str | None, topic: str, json_file: Path | None, now: datetime
) -> Frame:
    """Build the frame from exactly one of the inputs. Raises Invalid with a sentence."""
    given = [hex_text is not None, text is not None, json_file is not None]
    if sum(given) != 1:
        raise Invalid("Give the frame by exactly one of --hex, --text or --json.")
    if hex_text is not None:
        try:
            payload = binascii.unhexlify("".join(hex_text.split()))
        except (binascii.Error, ValueError) as error:
            raise Invalid(f"--hex is not hexadecimal: {error}.") from error
    elif text is not None:
        payload = text.encode()
    else:
        payload = _read(json_file)
    return Frame(payload=payload, topic=topic, received_at=now)


def _read(path: Path | None) -> bytes:
    if path is None:
        raise Invalid("--json needs a file.")
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FRAME)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error


def decode(codec: Codec, frame: Frame, profile: str | None = None) -> Decoded:
    """Decode; with a profile, add the alarms that its model's states mean.

    Raises Undecodable with the codec's sentence, NotFound for an unknown profile.
    """
    try:
        decoded = codec.decode(frame)
    except CodecError as error:
        raise Undecodable(f"{codec.name}: {error} ({error.reason})") from error
    if profile is None:
        return decoded
    if profile not in PROFILES:
        raise NotFound(f"There is no profile {profile!r}.")
    messages = tuple(interpret(message, PROFILES[profile]) for message in decoded.messages)
    return Decoded(messages, decoded.replies, decoded.warnings)


def records(decoded: Decoded) -> list[dict[str, Any]]:
    """Return the content of the messages as flat records, in order."""
    return [record for message in decoded.messages for record in _of_message(message)]


def _of_message(message: Message) -> list[dict[str, Any]]:
    common = {
        "device": message.device,
        "seq": message.seq,
        "time": _time(message.at),
        "position": _position(message.position),
        "flags": sorted(message.flags),
    }
    empty = {"metric": None, "value": None, "unit": None, "code": None}
    found = [*_readings(message), *_conditions(message), *_about_device(message)]
    if message.position is not None:
        found.append({"kind": "position", "time": _time(message.position.at or message.at)})
    return [common | empty | one for one in found or [{"kind": message.kind}]]


def _readings(message: Message) -> Iterator[dict[str, Any]]:
    for reading in message.readings:
        metric = METRICS[reading.metric]
        record = {
            "kind": "reading",
            "metric": reading.metric,
            "value": reading.value,
            "unit": metric.ucum,
            "code": metric.loinc,
        }
        yield record | ({} if reading.at is None else {"time": _time(reading.at)})


def _conditions(message: Message) -> Iterator[dict[str, Any]]:
    for alarm in message.alarms:
        yield {"kind": "alarm", "code": alarm.kind.value, "value": alarm.active}
    for name, value in message.states.items():
        yield {"kind": "state", "code": name, "value": value}


def _about_device(message: Message) -> Iterator[dict[str, Any]]:
    status, ack = message.status, message.ack
    if status is not None:
        yield {
            "kind": "status",
            "code": "status",
            "value": status.online,
            "battery_percent": status.battery_percent,
            "firmware": status.firmware,
            "rssi_dbm": status.rssi_dbm,
            "charging": status.charging,
        }
    if ack is not None:
        yield {"kind": "ack", "code": ack.command_id, "value": ack.ok, "detail": ack.detail}


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _position(position: Position | None) -> dict[str, Any] | None:
    if position is None:
        return None
    return {
        "lat": position.lat,
        "lon": position.lon,
        "accuracy_m": position.accuracy_m,
        "valid": position.valid,
        "speed_kmh": position.speed_kmh,
        "course_deg": position.course_deg,
        "source": position.source,
    }


def codec_list() -> list[dict[str, Any]]:
    """Return every codec with what it serves and what its profiles can do."""
    return [
        {
            "codec": codec.name,
            "title": codec.title,
            "transport": "tcp" if codec.split is not None else "mqtt" if _topics(codec) else "push",
            "topics": _topics(codec),
            "profiles": sorted(p.code for p in PROFILES.values() if p.codec == codec.name),
            "capabilities": sorted(
                {
                    c.value
                    for p in PROFILES.values()
                    if p.codec == codec.name
                    for c in p.capabilities
                }
            ),
        }
        for codec in CODECS.values()
    ]


def _topics(codec: Codec) -> list[str]:
    return [*codec.topics, *codec.express_topics]
