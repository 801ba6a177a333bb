"""Commands to JT/T 808 terminals, and what their answers are to (JT/T 808-2019, 8.8 to 8.50).

Header, version and marks are those of the terminal's last frame. The serial number is the command's
own, because the terminal's answer names it: 0x0001 with a result, or 0x0201 with the position.
"""

from collections.abc import Callable
from types import MappingProxyType

from devices.codecs.jt808.frames import Packet, open_frame
from devices.downlink import (
    FAILED,
    NOT_SUPPORTED,
    WRONG_MESSAGE,
    CommandName,
    CommandRequest,
    Downlink,
    NotNow,
    number_of,
)
from devices.messages import CodecError, CommandAck, Frame

SERIALS = 2**16
_QUERY, _TEXT, _SET, _CONTROL = 0x8201, 0x8300, 0x8103, 0x8105
_NAMES = {
    _QUERY: CommandName.LOCATE,
    _TEXT: CommandName.SPEAK,
    _SET: CommandName.SET_INTERVAL,
    _CONTROL: CommandName.REBOOT,
}
# Table 4: what came of a command of ours; 4 confirms an alarm.
_RESULTS = ("", FAILED, WRONG_MESSAGE, NOT_SUPPORTED, "")
_SHOWN_AND_SPOKEN = 0b0000_1100
_NOTICE = 1
_RESET = 4
_INTERVALS = (0x0029, 0x0027)
"""Seconds between reports, and while the terminal sleeps (table 12)."""
_LONGEST_TEXT = 1000


def encode_command(request: CommandRequest) -> Downlink:
    """A command. Raises CodecError (reason), and NotNow before a frame came."""
    body = _BODIES.get(request.name)
    if body is None:
        raise CodecError("unknown_command", f"JT/T 808 has no form for {request.name}")
    try:
        terminal = open_frame(Frame(request.last))
    except CodecError as error:
        raise NotNow("nothing of the terminal's that could be mirrored") from error
    number, content = body(request, terminal)
    return Downlink(terminal.answer(number, content, number_of(request.id, SERIALS)))


def _locate(_: CommandRequest, __: Packet) -> tuple[int, bytes]:
    return _QUERY, b""


def _speak(request: CommandRequest, terminal: Packet) -> tuple[int, bytes]:
    """Flags, from 2019 on the kind of text, then the text in GBK."""
    try:
        text = request.args["text"].encode("gbk")
    except UnicodeEncodeError as error:
        raise CodecError("text_encoding", "the text has characters that GBK lacks") from error
    if len(text) > _LONGEST_TEXT:
        raise CodecError("too_long", f"the text has more than {_LONGEST_TEXT} bytes in GBK")
    kind = b"" if terminal.version is None else bytes([_NOTICE])
    return _TEXT, bytes([_SHOWN_AND_SPOKEN]) + kind + text


def _interval(request: CommandRequest, _: Packet) -> tuple[int, bytes]:
    """How many parameters, then each with its number, its length and its value."""
    value = bytes([4]) + request.args["seconds"].to_bytes(4, "big")
    items = (number.to_bytes(4, "big") + value for number in _INTERVALS)
    return _SET, bytes([len(_INTERVALS)]) + b"".join(items)


def _reboot(_: CommandRequest, __: Packet) -> tuple[int, bytes]:
    return _CONTROL, bytes([_RESET])


_BODIES = MappingProxyType[CommandName, Callable[[CommandRequest, Packet], tuple[int, bytes]]](
    {
        CommandName.LOCATE: _locate,
        CommandName.SPEAK: _speak,
        CommandName.SET_INTERVAL: _interval,
        CommandName.REBOOT: _reboot,
    }
)
COMMANDS = frozenset(_BODIES)


def answered(serial: int, number: int, result: int) -> CommandAck:
    """What a general answer (0x0001) says of our message `number` with this serial number.

    That a question for the position was understood is no position yet: it is answered by 0x0201.
    """
    word = _RESULTS[result] if result < len(_RESULTS) else f"result {result}"
    ok = result in (0, 4)
    name = _NAMES.get(number)
    if name is None or (number == _QUERY and ok):
        return CommandAck(f"{number:04X}", ok, word)
    names = frozenset({name})
    return CommandAck(f"{number:04X}", ok, word, names, serial, SERIALS)


def located(serial: int) -> CommandAck:
    """That a position (0x0201) is the answer to our question with this serial number."""
    names = frozenset({CommandName.LOCATE})
    return CommandAck(f"{_QUERY:04X}", True, "", names, serial, SERIALS)
