"""Commands byte by byte, with check values computed here, and the answers read by the decoders."""

from functools import reduce

import pytest

from devices.codecs import CODECS
from devices.commands.rules import answered
from devices.downlink import CommandName, NotNow, number_of
from devices.messages import CodecError, CommandAck, Frame
from tests.devices.codecs.asking import ID, request

IMEI = "353456789012345"
LOW_16, LOW_32 = 0x4D5E, 0x2B6C4D5E
JOURNAL = f"{ID.int % 1_000_000:06d}"
CRC_ITU = 0x8408


def told(codec: str, name: str, address: str = IMEI, last: bytes = b"", **more: object) -> bytes:
    encode = CODECS[codec].encode
    assert encode is not None
    frame = encode(request(name, address, last, **more))  # type: ignore[arg-type]
    assert frame.topic == ""
    return frame.payload


def ack_of(codec: str, frame: bytes, device: str = IMEI) -> CommandAck:
    (message,) = CODECS[codec].decode(Frame(frame, device=device)).messages
    assert message.ack is not None
    return message.ack


def jt808(
    number: int, body: bytes, terminal: str, serial: int = LOW_16, version: str = ""
) -> bytes:
    """JT/T 808 chapter 4: header, body, exclusive or of all, marks and escapes."""
    attributes = len(body) | (0x4000 if version else 0)
    head = f"{number:04x}{attributes:04x}{version}{terminal}{serial:04x}"
    content = bytes.fromhex(head) + body
    content += bytes([reduce(lambda left, right: left ^ right, content)])
    content = content.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")
    return b"\x7e" + content + b"\x7e"


def gt06(number: int, content: bytes, serial: int, long: bool = False) -> bytes:
    """Concox: start, length of what follows without the end, number, content, serial, CRC-ITU."""
    length = 1 + len(content) + 2 + 2
    body = length.to_bytes(2 if long else 1, "big") + bytes([number]) + content
    body += serial.to_bytes(2, "big")
    crc = 0xFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (CRC_ITU if crc & 1 else 0)
    check = (crc ^ 0xFFFF).to_bytes(2, "big")
    return (b"\x79\x79" if long else b"\x78\x78") + body + check + b"\r\n"


@pytest.mark.parametrize(
    ("name", "args", "content"),
    [
        ("locate", {}, b"0002*CR"),
        ("ring", {"seconds": 20}, b"0004*FIND"),
        # The maker's own example: 好123.
        ("speak", {"text": "好123"}, b"0018*MESSAGE,597D003100320033"),
        ("set_interval", {"seconds": 600}, b"000A*UPLOAD,600"),
        ("reboot", {}, b"0005*RESET"),
    ],
)
def test_setracker(name: str, args: dict[str, object], content: bytes) -> None:
    frame = told("setracker", name, last=b"[3G*8800000015*0002*LK]", **args)
    assert frame == b"[3G*8800000015*" + content + b"]"
    word = content.partition(b"*")[2].partition(b",")[0]
    answer = b"[3G*8800000015*%04X*%s]" % (len(word), word)
    assert ack_of("setracker", answer).names == {CommandName(name)}


@pytest.mark.parametrize(
    ("name", "args", "frame"),
    [
        ("locate", {}, f"IWBP16,{IMEI},{JOURNAL}#"),
        ("ring", {}, f"IWBP88,{IMEI},{JOURNAL}#"),
        # The maker's example: "are you ok?".
        (
            "speak",
            {"text": "are you ok?"},
            f"IWBP40,{IMEI},{JOURNAL},00610072006500200079006F00750020006F006B003F#",
        ),
        ("set_interval", {"seconds": 300}, f"IWBP15,{IMEI},{JOURNAL},300#"),
        ("reboot", {}, f"IWBP18,{IMEI},{JOURNAL}#"),
    ],
)
def test_iw(name: str, args: dict[str, object], frame: str) -> None:
    assert told("iw_trv", name, last=b"IWAP49,68#", **args) == frame.encode()
    ack = ack_of("iw_trv", f"IWAP{frame[4:6]},{JOURNAL}#".encode())
    assert (ack.ok, ack.number, ack.modulus) == (True, number_of(ID, 10**6), 10**6)


def test_an_iw_watch_with_other_words_and_a_trv_watch_with_none() -> None:
    told_otherwise = told(
        "iw_trv", "set_interval", last=b"IWAP49,68#", form="BP34,8,{seconds},1", seconds=60
    )
    assert told_otherwise == f"IWBP34,{IMEI},{JOURNAL},8,60,1#".encode()
    with pytest.raises(CodecError):
        told("iw_trv", "ring", last=b"TRVAP14#")
    with pytest.raises(NotNow):
        told("iw_trv", "ring")


@pytest.mark.parametrize(
    ("name", "args", "number", "body"),
    [
        ("locate", {}, 0x8201, ""),
        ("reboot", {}, 0x8105, "04"),
        # Two parameters of four bytes: 0x0029 and, asleep, 0x0027.
        ("set_interval", {"seconds": 126}, 0x8103, "02 00000029 04 0000007e 00000027 04 0000007e"),
        # Bit 2 shown, bit 3 read aloud; 你好 in GBK.
        ("speak", {"text": "你好"}, 0x8300, "0c c4e3bac3"),
    ],
)
def test_jt808_2013(name: str, args: dict[str, object], number: int, body: str) -> None:
    last = jt808(0x0002, b"", "013912345678", serial=1)
    frame = told("jt808", name, "13912345678", last, **args)
    assert frame == jt808(number, bytes.fromhex(body), "013912345678")
    done = LOW_16.to_bytes(2, "big") + number.to_bytes(2, "big") + b"\0"
    ack = ack_of("jt808", jt808(0x0001, done, "013912345678", serial=2))
    if name == "locate":
        # Understood, but there is no position yet.
        assert ack.modulus == 0
    else:
        assert (ack.ok, ack.names, ack.number) == (True, {CommandName(name)}, LOW_16)


def test_jt808_2019_has_a_version_a_longer_number_and_a_kind_of_text() -> None:
    terminal = "00000000013912345678"
    last = jt808(0x0002, b"", terminal, serial=1, version="01")
    frame = told("jt808", "speak", "13912345678", last, text="好")
    assert frame == jt808(0x8300, bytes.fromhex("0c01bac3"), terminal, version="01")


def test_jt808_position_is_the_answer_to_the_question_for_it() -> None:
    location = bytes.fromhex("0000000000000003026f331006a927880429001e005a261122083000")
    body = LOW_16.to_bytes(2, "big") + location
    (message,) = CODECS["jt808"].decode(Frame(jt808(0x0201, body, "013912345678"))).messages
    assert message.position is not None
    assert message.ack is not None
    assert (message.ack.names, message.ack.number) == ({CommandName.LOCATE}, LOW_16)


def test_jt808_says_nothing_that_cannot_be_said() -> None:
    last = jt808(0x0002, b"", "013912345678", serial=1)
    for text, reason in (("ᠮᠣᠩᠭᠣᠯ", "text_encoding"), ("好" * 501, "too_long")):
        with pytest.raises(CodecError) as caught:
            told("jt808", "speak", last=last, text=text)
        assert caught.value.reason == reason
    with pytest.raises(NotNow):
        told("jt808", "reboot", last=b"(1,2,3)")


@pytest.mark.parametrize(
    ("name", "form", "args", "text"),
    [
        ("locate", "", {}, b"WHERE#"),
        ("set_interval", "", {"seconds": 60}, b"TIMER,60,60#"),
        ("set_interval", "MODE,1,{seconds}#", {"seconds": 300}, b"MODE,1,300#"),
        ("reboot", "", {}, b"RESET#"),
    ],
)
def test_gt06(name: str, form: str, args: dict[str, object], text: bytes) -> None:
    flag = LOW_32.to_bytes(4, "big")
    expected = gt06(0x80, bytes([4 + len(text)]) + flag + text, LOW_16)
    assert told("gt06", name, form=form, **args) == expected
    short = gt06(0x15, bytes([7]) + flag + b"OK!" + b"\0\2", 9)
    assert (ack_of("gt06", short).ok, ack_of("gt06", short).number) == (True, LOW_32)
    refused = ack_of("gt06", gt06(0x21, flag + b"\x01Command error!", 9, long=True))
    assert (refused.ok, refused.number, refused.detail) == (False, LOW_32, "Command error!")


def test_gt06_says_nothing_that_has_no_place_in_a_packet() -> None:
    for form, reason in (("说#", "text_encoding"), ("A" * 300 + "#", "too_long")):
        with pytest.raises(CodecError) as caught:
            told("gt06", "locate", form=form)
        assert caught.value.reason == reason


@pytest.mark.parametrize("codec", ["setracker", "iw_trv", "jt808", "gt06"])
def test_what_a_protocol_has_no_form_for_is_refused(codec: str) -> None:
    lasts = {"setracker": b"[3G*8800000015*0002*LK]", "iw_trv": b"IWAP49,68#"}
    for name in frozenset(CommandName) - CODECS[codec].commands:
        with pytest.raises(CodecError) as caught:
            told(codec, name, last=lasts.get(codec, b""))
        assert caught.value.reason == "unknown_command"
    with pytest.raises(CodecError) as caught:
        told("setracker", "set_interval", last=lasts["setracker"], seconds=59)
    assert caught.value.reason == "interval"


def test_only_what_answers_may_be_asked() -> None:
    ways = {name: codec.commands for name, codec in CODECS.items() if codec.encode is None}
    assert {"minifinder", "scaip"} <= ways.keys()
    assert not any(ways.values())


def test_an_answer_is_to_the_open_command_with_its_number() -> None:
    other = ID.__class__(int=ID.int + 1)
    by_number = CommandAck("", True, number=LOW_16 + 1, modulus=2**16)
    assert answered(by_number, {ID: {}, other: {}}) == other
    assert answered(by_number, {ID: {}}) is None
    by_name = CommandAck("FIND", True, names=frozenset({CommandName.RING}))
    assert answered(by_name, {ID: {}, other: {}}) == ID
    assert answered(by_name, {}) is None
    by_value = CommandAck("", True, interval=range(541, 601))
    assert answered(by_value, {ID: {"seconds": 540}, other: {"seconds": 600}}) == other
    assert answered(by_value, {ID: {"seconds": 601}}) is None


# GBK has 7E and 7D as halves of characters (皛, 皚).
NASTY = ("]", "#*,[3G*1*0002*CR]", "~}", "皛皚珂=>", "{seconds}", "好" * 200)


def text_in(codec: str, frame: bytes) -> str:
    """The text of a command as the terminal takes it out."""
    if codec == "jt808":
        plain = frame[1:-2].replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
        return plain.partition(b"\x0c")[2].decode("gbk")
    ends = {"setracker": b"]", "iw_trv": b"#"}[codec]
    return bytes.fromhex(frame.removesuffix(ends).rpartition(b",")[2].decode()).decode("utf-16-be")


@pytest.mark.parametrize(
    ("codec", "last"),
    [
        ("setracker", b"[3G*8800000015*0002*LK]"),
        ("iw_trv", b"IWAP49,68#"),
        ("jt808", jt808(0x0002, b"", "013912345678", serial=1)),
    ],
)
@pytest.mark.parametrize("text", [*NASTY, "👵🏻 来了 \u202eabc"])
def test_whatever_is_said_stays_one_frame(codec: str, last: bytes, text: str) -> None:
    split = CODECS[codec].split
    assert split is not None
    if codec == "jt808" and text not in NASTY:
        with pytest.raises(CodecError):
            told(codec, "speak", last=last, text=text)
        return
    frame = told(codec, "speak", last=last, text=text)
    assert split(frame) == ([frame], b"")
    assert text_in(codec, frame) == text
