"""Commands to IW watches: `IWBP16,353456789012345,080835#`, answered by `IWAP16,080835#`.

Behind the name stand the IMEI, a journal number of six digits, which the watch repeats, and the
command's own values. Sources: the maker's "GPS watch protocol" (2023), and what public firmware and
servers do. TRV's older protocol has other numbers for the same things and is left alone.
"""

import re
from types import MappingProxyType

from devices.codecs.fields import clean
from devices.downlink import CommandName, CommandRequest, Downlink, NotNow, number_of, worded
from devices.messages import CodecError, CommandAck, Flag, Message

JOURNAL = 10**6
"""Journal numbers have six digits; some watches leave leading zeros out of the answer."""
FORMS = MappingProxyType(
    {
        CommandName.LOCATE: "BP16",
        CommandName.RING: "BP88",
        CommandName.SPEAK: "BP40,{text}",
        CommandName.SET_INTERVAL: "BP15,{seconds}",
        CommandName.REBOOT: "BP18",
    }
)
ANSWERS = frozenset({"AP15", "AP16", "AP18", "AP33", "AP34", "AP40", "AP88"})
_ANSWER = re.compile(r",?(\d{1,6})(?:,(.*))?", re.ASCII | re.DOTALL)


def encode_command(request: CommandRequest) -> Downlink:
    """A command; a model may have its own wording (`BP34,8,{seconds},1`).

    Raises CodecError: unknown_command (a TRV watch; no such form), NotNow before the first frame.
    """
    if not request.last:
        raise NotNow("nothing was heard of the watch on this connection")
    form = request.form or FORMS.get(request.name, "")
    if not form or not request.last.startswith(b"IW"):
        raise CodecError("unknown_command", f"this watch has no form for {request.name}")
    values = dict(request.args)
    if "text" in values:
        values["text"] = values["text"].encode("utf-16-be").hex().upper()
    name, comma, rest = worded(form, **values).partition(",")
    journal = number_of(request.id, JOURNAL)
    return Downlink(f"IW{name},{request.address},{journal:06d}{comma}{rest}#".encode("ascii"))


def answer(device: str, name: str, body: str) -> Message | None:
    """The watch's answer to a command, None where it names no journal number."""
    match = _ANSWER.fullmatch(body.strip())
    if match is None:
        return None
    said = clean(match[2] or "")[:200]
    # A text is answered with 1, or with 0 when it was not taken; others repeat their values.
    ok = not (name == "AP40" and said == "0")
    ack = CommandAck(name, ok, said, number=int(match[1]), modulus=JOURNAL)
    return Message(device, "ack", ack=ack, flags=frozenset({Flag.TIME_MISSING}))
