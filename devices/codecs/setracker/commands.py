"""Commands to Setracker watches: words, which the watch repeats once it has carried them out.

Source: the maker's "SeTracker server protocol", part II (APN, UPLOAD, RESET, CR, FIND, MESSAGE, …).
None of its words sets a limit of a vital sign.
"""

from devices.codecs.setracker.frames import open_frame
from devices.downlink import CommandName, CommandRequest, Downlink, NotNow
from devices.messages import CodecError, Frame

WORDS = {
    CommandName.LOCATE: "CR",
    CommandName.RING: "FIND",
    CommandName.SPEAK: "MESSAGE",
    CommandName.SET_INTERVAL: "UPLOAD",
    CommandName.REBOOT: "RESET",
}
NAME_OF_WORD = {word: name for name, word in WORDS.items()}
INTERVALS = range(60, 65_536)


def encode_command(request: CommandRequest) -> Downlink:
    """A command in the form of header that the watch uses. Raises CodecError, NotNow."""
    content = _content(request)
    try:
        packet = open_frame(Frame(request.last))
    except CodecError as error:
        raise NotNow("nothing of the watch's that could be mirrored") from error
    return Downlink(packet.answer(content))


def _content(request: CommandRequest) -> str:
    """A command as the watch reads it: `FIND`, `UPLOAD,600`, `MESSAGE,597D`. Raises CodecError."""
    word = WORDS.get(request.name)
    if word is None:
        raise CodecError("unknown_command", f"Setracker has no form for {request.name}")
    if request.name is CommandName.SPEAK:
        # The example of the maker, 597D003100320033, is 好123 in UTF-16, the high byte first.
        return f"{word},{request.args['text'].encode('utf-16-be').hex().upper()}"
    if request.name is CommandName.SET_INTERVAL:
        seconds = request.args["seconds"]
        if seconds not in INTERVALS:
            raise CodecError("interval", "a Setracker watch reports every 60 to 65535 seconds")
        return f"{word},{seconds}"
    return word
