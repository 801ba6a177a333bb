"""From what a device said to what it means: the alarms that a model's states stand for."""

from dataclasses import replace

from devices.messages import AlarmSignal, Message
from devices.profiles.model import Profile


def interpret(message: Message, profile: Profile) -> Message:
    """The message with the alarms that the profile reads in its states and readings.

    What the device itself signalled stays and is not said twice: where a message already carries
    a signal of a kind, the profile adds none of that kind. Of several rules for one kind the
    first that says "on" wins over those that say "off".
    """
    said = {signal.kind for signal in message.alarms}
    found: dict[str, AlarmSignal] = {}
    for rule in profile.alarms:
        active = rule.reads(message)
        if active is None or rule.kind in said:
            continue
        known = found.get(rule.kind)
        if known is None or (active and not known.active):
            detail = f"{rule.field}={_value(message, rule.field)}"
            found[rule.kind] = AlarmSignal(rule.kind, active, detail, rule.level)
    if not found:
        return message
    return replace(message, alarms=message.alarms + tuple(found.values()))


def _value(message: Message, field: str) -> str:
    value = message.states.get(field)
    if value is None:
        value = next(r.value for r in message.readings if r.metric == field)
    return str(value).lower() if isinstance(value, bool) else f"{value}"
