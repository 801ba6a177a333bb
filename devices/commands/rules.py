"""Which commands a device takes, with which arguments, for how long, and how often they are tried.

Problems with arguments are codes (`Invalid.fields`: field → code). All pure.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any
from unicodedata import category

from devices.codecs import CODECS
from devices.commands.model import CommandName, CommandState, Outgoing
from devices.downlink import INTERVALS, CommandRequest, number_of
from devices.messages import Codec, CommandAck
from devices.metrics import METRICS
from devices.profiles import PROFILES
from devices.profiles.model import Capability
from devices.registry.model import Device, DeviceState
from kernel.auth.model import Actor, Permission

N, C = CommandName, Capability
FIRST_TRY = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(seconds=60)
HEARD = timedelta(minutes=5)
"""A device that was heard within this time is there: what it has not answered is sent again."""
LONGEST_LIFE = timedelta(days=7)
LONGEST_TEXT = 200
_NEEDS: Mapping[CommandName, Capability] = {
    N.LOCATE: C.LOCATION,
    N.RING: C.RING,
    N.SPEAK: C.SPEECH,
    N.SET_THRESHOLDS: C.VITALS,
}
# A position of in an hour helps nobody who is looking for a person now.
_LIFE: Mapping[CommandName, timedelta] = {
    N.LOCATE: timedelta(minutes=10),
    N.RING: timedelta(minutes=5),
    N.SPEAK: timedelta(minutes=30),
}
_URL = re.compile(r"https?://[!-~]{1,500}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
# Control characters, ends of lines, halves of characters. Full-width and narrow spaces, joiners and
# marks of direction are text: Chinese, Mongolian, Uyghur and emoji are written with them.
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
# A newer one takes the place of an older one: the device must not be left with the older.
SETTINGS = frozenset({N.SET_INTERVAL, N.SET_THRESHOLDS})
_IN_AN_EMERGENCY = frozenset({N.LOCATE, N.RING})


def may_request(actor: Actor, name: CommandName) -> bool:
    """Technicians may nearly everything, operators what finds a person; the system all.

    An update belongs to a roll-out (devices/firmware/) and is nobody's single wish.
    """
    if name is N.UPDATE:
        return actor.user_id is None
    if actor.user_id is None or actor.may(Permission.DEVICE_WRITE):
        return True
    return name in _IN_AN_EMERGENCY and actor.may(Permission.INCIDENT_HANDLE)


def available(device: Device) -> tuple[CommandName, ...]:
    """Return what the device can be asked: what its protocol has a form for and its model does.

    Nothing for one behind a gateway that hands nothing on.
    """
    model = PROFILES.get(device.profile)
    if model is None or Capability.COMMANDS not in model.capabilities:
        return ()
    codec = CODECS[model.codec]
    behind = device.gateway_id is not None and not codec.through_gateway
    if behind or device.state is DeviceState.RETIRED:
        return ()
    return tuple(
        name
        for name in CommandName
        if name in codec.commands
        and (model.commands is None or name in model.commands)
        and (name not in _NEEDS or _NEEDS[name] in model.capabilities)
    )


def codec_of(command: Outgoing) -> Codec | None:
    """Return the codec that writes the command down, None where there is none.

    The model's own; but a LoRaWAN sensor has one model and may be behind either network server:
    the one that it was last heard through goes ahead.
    """
    model = PROFILES.get(command.profile)
    heard = CODECS.get(command.route_codec or "")
    codec = heard or (CODECS[model.codec] if model is not None else None)
    return codec if codec is not None and codec.encode is not None else None


def asked(command: Outgoing, address: str, now: datetime) -> CommandRequest:
    """Return a command as the codec of the device wants it; of TCP without the last frame."""
    model, gateway = PROFILES.get(command.profile), PROFILES.get(command.gateway_profile or "")
    name = CommandName(command.name)
    return CommandRequest(
        id=command.id,
        name=name,
        args=command.args,
        expires_at=command.expires_at,
        now=now,
        address=address,
        device_id=command.device_id,
        profile=command.profile,
        gateway=command.gateway_id or "",
        base_topics=gateway.bridge_topics(command.gateway_id or "") if gateway else (),
        form=model.forms.get(name, "") if model else "",
        route=command.route or "",
    )


def answered(
    ack: CommandAck, unanswered: Mapping[uuid.UUID, Mapping[str, Any]]
) -> uuid.UUID | None:
    """Return which of the unanswered commands an answer is to, None for none of them.

    They come with their arguments, the oldest first, and are of `ack.names`.
    """
    for command, args in unanswered.items():
        if ack.modulus and number_of(command, ack.modulus) != ack.number:
            continue
        # Somebody else has told the device, or set it by hand.
        if ack.interval is not None and args.get("seconds") not in ack.interval:
            continue
        return command
    return None


def lifetime(name: CommandName) -> timedelta:
    """Return how long a command of the name makes sense."""
    return _LIFE.get(name, timedelta(days=1))


def replaces(name: CommandName, newer: Mapping[str, Any], older: Mapping[str, Any]) -> bool:
    """Whether a newer setting sets everything that an older one of the same name did."""
    return name in SETTINGS and older.keys() <= newer.keys()


def is_the_same(device: Device, name: CommandName, state: CommandState) -> bool:
    """Whether a wish for what waits in this state already adds nothing to it.

    What a platform took over is carried out once, and then perhaps never answered: a siren has
    sounded, and whoever wants to hear it again asks for something new.
    """
    model = PROFILES.get(device.profile)
    kept = model is not None and CODECS[model.codec].keeps
    return not (kept and name in _IN_AN_EMERGENCY and state is CommandState.SENT)


def intervals(device: Device) -> range:
    """Return the seconds that the device can be told to report in."""
    model = PROFILES.get(device.profile)
    return CODECS[model.codec].intervals if model is not None else INTERVALS


def wrong_args(device: Device, name: CommandName, args: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the arguments: code by field, empty when nothing is."""
    wrong = dict(_CHECKS[name](args))
    if name is N.SET_INTERVAL and not wrong and args["seconds"] not in intervals(device):
        wrong["seconds"] = "range"
    return wrong


def _nothing(args: Mapping[str, Any]) -> dict[str, str]:
    return _unknown(args)


def _unknown(args: Mapping[str, Any], *known: str) -> dict[str, str]:
    return {key: "unknown" for key in args if key not in known}


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _ring(args: Mapping[str, Any]) -> dict[str, str]:
    wrong = _unknown(args, "seconds")
    if "seconds" in args and not _whole(args["seconds"], 1, 300):
        wrong["seconds"] = "range"
    return wrong


def _speak(args: Mapping[str, Any]) -> dict[str, str]:
    wrong = _unknown(args, "text", "language")
    text, language = args.get("text"), args.get("language")
    if not isinstance(text, str) or not text.strip():
        wrong["text"] = "required"
    elif len(text) > LONGEST_TEXT:
        wrong["text"] = "too_long"
    elif any(category(letter) in _NO_TEXT for letter in text):
        wrong["text"] = "form"
    if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
        wrong["language"] = "form"
    return wrong


def _interval(args: Mapping[str, Any]) -> dict[str, str]:
    wrong = _unknown(args, "seconds")
    if not _whole(args.get("seconds"), INTERVALS.start, INTERVALS.stop - 1):
        wrong["seconds"] = "range"
    return wrong


def _thresholds(args: Mapping[str, Any]) -> dict[str, str]:
    wrong = _unknown(args, *METRICS)
    if not args:
        wrong["metric"] = "required"
    for code, limits in args.items():
        if code in METRICS and not _is_band(limits):
            wrong[code] = "range"
    return wrong


def _update(args: Mapping[str, Any]) -> dict[str, str]:
    wrong = _unknown(args, "url", "sha256", "size", "version")
    for name, form in (("url", _URL), ("sha256", _SHA256), ("version", _VERSION)):
        value = args.get(name)
        if not isinstance(value, str) or form.fullmatch(value) is None:
            wrong[name] = "form"
    if not _whole(args.get("size"), 1, 2**31):
        wrong["size"] = "range"
    return wrong


def _is_band(limits: Any) -> bool:
    if not isinstance(limits, Mapping) or not limits or not limits.keys() <= {"low", "high"}:
        return False
    values = list(limits.values())
    if not all(_is_number(value) for value in values):
        return False
    return len(limits) < 2 or bool(limits["low"] < limits["high"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


_CHECKS: Mapping[CommandName, Callable[[Mapping[str, Any]], dict[str, str]]] = {
    N.LOCATE: _nothing,
    N.RING: _ring,
    N.SPEAK: _speak,
    N.SET_INTERVAL: _interval,
    N.SET_THRESHOLDS: _thresholds,
    N.REBOOT: _nothing,
    N.UPDATE: _update,
}
