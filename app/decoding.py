"""`silverline decode` and `silverline codecs`: what a codec makes of one frame, as JSON.

Each thing that a message holds becomes one flat record: a reading, an alarm, a position, a status,
a state whose meaning a profile gives, or an acknowledgement.
"""

import binascii
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import orjson

from app.decoding_topics import topic_for
from devices.codecs import CODECS
from devices.codecs.homeassistant.codec import Adopted, AdoptedEntities, decode_with
from devices.codecs.homeassistant.config import entity_of
from devices.messages import Codec, CodecError, Decoded, Frame, Message, Position
from devices.metrics import METRICS
from devices.profiles import PROFILES, Profile, interpret
from kernel.errors import Invalid, NotFound

LONGEST_FRAME = 1024 * 1024
_BINARY = frozenset({"jt808", "gt06"})
# What these protocols are called elsewhere.
_KNOWN_AS = {
    "3g": "setracker", "watch": "setracker", "trv": "iw_trv", "iw": "iw_trv", "huabao": "jt808",
    "jt_t_808": "jt808", "concox": "gt06", "ttn": "tts", "thethingsstack": "tts",
    "openmqttgateway": "theengs", "omg": "theengs", "ble": "gatt", "hass": "homeassistant",
    "ha": "homeassistant", "v1": "silverline_v1", "protocol_v1": "silverline_v1",
    "z2m": "zigbee2mqtt",
}  # fmt: skip


class Undecodable(Invalid):
    """The codec refused the frame; the message is its sentence."""

    code = "undecodable"


def codec_named(name: str) -> Codec:
    """Return a codec; `-` and `_` are the same. Raises NotFound with the known names."""
    plain = name.strip().replace("-", "_").lower()
    found = CODECS.get(plain)
    if found is None:
        near = get_close_matches(plain, CODECS, n=1) or [_KNOWN_AS.get(plain, "")]
        hint = f" Did you mean {near[0]}?" if near[0] else ""
        known = ", ".join(sorted(CODECS))
        raise NotFound(f"There is no codec {name!r}.{hint} Known are: {known}.")
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


def placed(codec: Codec, frame: Frame) -> tuple[Frame, str]:
    """The frame with the topic that it must have had, and what to tell of it; as it is otherwise.

    A file with `topic` and `payload` (a JSON value or text) in it brings its own.
    """
    if frame.topic or not (codec.topics or codec.express_topics):
        return frame, ""
    wrapped = _unwrapped(frame)
    if wrapped is not None:
        return wrapped, ""
    topic = topic_for(codec.name, frame.payload)
    if not topic:
        return frame, ""
    return replace(frame, topic=topic), f"no --topic was given: read as {topic}"


def _unwrapped(frame: Frame) -> Frame | None:
    try:
        document = orjson.loads(frame.payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or set(document) - {"topic", "payload", "retained"}:
        return None
    topic, payload = document.get("topic"), document.get("payload")
    if not isinstance(topic, str) or payload is None:
        return None
    data = payload.encode() if isinstance(payload, str) else orjson.dumps(payload)
    return replace(frame, topic=topic, payload=data, retained=document.get("retained") is True)


def announced_in(path: Path, gateway: str = "") -> AdoptedEntities:
    """The entity of a file with `topic` and `config` (Home Assistant). Raises Invalid, Undecodable.

    The file is an announcement: the topic that it came under, and its JSON.
    """
    try:
        document = orjson.loads(_read(path))
    except orjson.JSONDecodeError as error:
        raise Invalid(f"{path} is not JSON: {error}.") from error
    topic = document.get("topic") if isinstance(document, dict) else None
    if not isinstance(topic, str) or not isinstance(document.get("config"), dict):
        raise Invalid(f"{path} must be an object with topic and config.")
    frame = Frame(orjson.dumps(document["config"]), topic, device=gateway)
    found = decode(CODECS["homeassistant"], frame)
    return AdoptedEntities(
        tuple(
            Adopted(each.gateway, each.device, entity_of(each.entity))
            for each in found.proposals
            if each.entity is not None
        )
    )


def _read(path: Path | None) -> bytes:
    if path is None:
        raise Invalid("--json needs a file.")
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FRAME)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error


def decode(
    codec: Codec,
    frame: Frame,
    profile: str | None = None,
    announced: AdoptedEntities | None = None,
) -> Decoded:
    """Decode; with a profile, add the alarms that its model's states mean.

    `announced` are entities by which a state of Home Assistant is read. Raises Undecodable with the
    codec's sentence, NotFound for an unknown profile.
    """
    try:
        decoded = codec.decode(frame) if announced is None else decode_with(announced, frame)
    except CodecError as error:
        raise Undecodable(f"{codec.name}: {error} ({error.reason})") from error
    if profile is None:
        return decoded
    if profile not in PROFILES:
        raise NotFound(f"There is no profile {profile!r}.")
    messages = tuple(interpret(message, PROFILES[profile]) for message in decoded.messages)
    return replace(decoded, messages=messages)


def remarks(decoded: Decoded, note: str = "") -> Iterator[tuple[str, str]]:
    """What else is to be told of a frame: label and text, for a person."""
    if note:
        yield "note", note
    for warning in decoded.warnings:
        yield "warning", warning
    for reject in decoded.rejects:
        yield "refused", f"{reject.text} ({reject.reason})"
    if not decoded.messages:
        sender = f" of {decoded.device}" if decoded.device else ""
        yield "note", f"readable, but nothing to store: a login{sender}, a keep-alive or the like"
    for reply in decoded.replies:
        yield "answer", _written(reply)
    for proposal in decoded.proposals:
        words = " ".join(
            str(value) for value in (proposal.entity or {"gone": "taken back"}).values()
        )
        yield "found", f"{proposal.name or proposal.device}: {words}"


def _written(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    return text if text.isprintable() and "\ufffd" not in text else data.hex()


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
    found = [*_readings(message), *_alarms(message)]
    if message.position is not None:
        found.append({"kind": "position", "time": _time(message.position.at or message.at)})
    found += [*_about_device(message), *_states(message)]
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


def _alarms(message: Message) -> Iterator[dict[str, Any]]:
    for alarm in message.alarms:
        yield {
            "kind": "alarm",
            "code": alarm.kind.value,
            "value": alarm.active,
            "level": alarm.level,
            "detail": alarm.detail,
        }


def _states(message: Message) -> Iterator[dict[str, Any]]:
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
            **({"update": asdict(status.update)} if status.update else {}),
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
        "altitude_m": position.altitude_m,
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
            "decode_with": _inputs(codec),
            "commands": sorted(codec.commands),
            "profiles": sorted(model.code for model in _models(codec)),
            "capabilities": sorted({c.value for p in _models(codec) for c in p.capabilities}),
        }
        for codec in CODECS.values()
    ]


def _models(codec: Codec) -> list[Profile]:
    """The models of a codec, and those that a bridge of it speaks for."""
    own = [model for model in PROFILES.values() if model.codec == codec.name]
    behind = (m for m in PROFILES.values() if any(bridge.speaks_for(m) for bridge in own))
    return list({model.code: model for model in (*own, *behind)}.values())


def _inputs(codec: Codec) -> str:
    """Which options of `silverline decode` such a frame is given by."""
    if codec.name == "gatt":
        return "--characteristic UUID --hex H, or --topic T --json FILE"
    if codec.split is not None:
        return "--hex H" if codec.name in _BINARY else "--text T"
    return "--topic T --json FILE" if _topics(codec) else "--text T"


def _topics(codec: Codec) -> list[str]:
    return [*codec.topics, *codec.express_topics]
