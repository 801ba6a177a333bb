"""Commands to GT06 devices: packet 0x80, a server flag of four bytes and a text, `WHERE#`.

The device answers in packet 0x15 or 7979 21 with the same flag and a text. Source: Concox "GT06 GPS
tracker communication protocol" and the makers' lists of commands; models with other words have them
in their profile (`forms`).
"""

import re
from types import MappingProxyType

from devices.codecs.binary import crc_itu
from devices.codecs.fields import clean
from devices.downlink import CommandName, CommandRequest, Downlink, number_of, worded
from devices.messages import CodecError, CommandAck

FLAGS = 2**32
_SERIALS = 2**16
FORMS = MappingProxyType(
    {
        CommandName.LOCATE: "WHERE#",
        CommandName.SET_INTERVAL: "TIMER,{seconds},{seconds}#",
        CommandName.REBOOT: "RESET#",
    }
)
_LONGEST = 0xFF - 4 - 6
"""Most bytes of a text: the short form has one byte for the length of all that follows it."""
_REFUSED = re.compile(r"error|fail|invalid|illegal|wrong|unknown", re.IGNORECASE)


def encode_command(request: CommandRequest) -> Downlink:
    """A command in the model's own words, or the usual ones. Raises CodecError."""
    form = request.form or FORMS.get(request.name, "")
    if not form:
        raise CodecError("unknown_command", f"GT06 has no form for {request.name}")
    try:
        text = worded(form, **request.args).encode("ascii")
    except UnicodeEncodeError as error:
        raise CodecError("text_encoding", "a GT06 command has ASCII characters only") from error
    if len(text) > _LONGEST:
        raise CodecError("too_long", f"a GT06 command has at most {_LONGEST} characters")
    flag = number_of(request.id, FLAGS).to_bytes(4, "big")
    serial = number_of(request.id, _SERIALS).to_bytes(2, "big")
    content = b"\x80" + bytes([len(flag) + len(text)]) + flag + text + serial
    body = bytes([len(content) + 2]) + content
    return Downlink(b"\x78\x78" + body + crc_itu(body).to_bytes(2, "big") + b"\r\n")


def answered(flag: int, text: str) -> CommandAck | None:
    """What a text is the answer to; without a flag it is to none of ours."""
    if not flag:
        return None
    said = clean(text)[:200]
    return CommandAck(
        f"{flag:08X}", _REFUSED.search(said) is None, said, number=flag, modulus=FLAGS
    )
