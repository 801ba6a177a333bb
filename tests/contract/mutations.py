"""Damage done to good frames, the same for the same seed, and what must hold whatever comes of it.

Operations: bits and bytes changed, cut off, taken out, doubled, put in; pieces of other frames
spliced in; numbers in text replaced by huge, negative and impossible ones; length fields that lie;
JSON values and names exchanged, nested deeply; topics with levels too many or too few. Binary
frames get a right check sum again half of the time, so that the damage reaches the fields.
"""

import json
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from app.decoding import records
from devices.codecs.binary import crc_itu, xor
from devices.messages import Codec, CodecError, Decoded, Frame, Message
from devices.metrics import METRICS

MAX_MESSAGES = 2_000
MAX_TEXT = 1_000
MAX_REPLIES = 512 * 1024
_DIGITS = re.compile(rb"\d+(?:\.\d+)?")
_NUMBERS = (
    b"0", b"-1", b"-0", b"1e999", b"-1e400", b"NaN", b"Infinity", b"9" * 400, b"0." + b"0" * 300,
    b"18446744073709551616", b"-9223372036854775809", b"4294967295", b"1.7976931348623157e308",
    b"00000000", b"99999999", b"+5", b"0x7f", b"\xd9\xa3", b"1_000", b" 12 ", b"12,5", b"",
)  # fmt: skip
_PIECES = (
    b"\0", b"\xff", b"\x7e", b"\x7d\x02", b"\x7d", b"\xe7", b"[", b"]", b"{", b"}", b'"', b",",
    b"*", b"#", b";", b"!", b"\r\n", b"xx", b"\x80", b"\xed\xa0\x80", b"\xc3", b"\\u0000",
    b"\\ud800", b"<mrq>", b"</mrq>", b"<a/>", b"&lt;", b"geo:1,2", b"(", b")", b"%s", b"'",
    b"\xe2\x80\xae",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, -(2**63) - 1, 2**64, 1e308, -1e308, 1e-320, 0.1, "", "x", "1",
    "\x00", "ü" * 300, "[" * 50, [], {}, [[]], [1, "2", None], {"a": {"b": [True]}}, "NaN", "1e999",
    "online", "2026-11-22T00:30:00Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00",
)  # fmt: skip


_DEEP: Any = 7
for _ in range(400):
    _DEEP = [_DEEP]
_VALUES = (*_VALUES, _DEEP, {"a": _DEEP}, [{"characteristic": _DEEP, "mac": "x"}])


class Mutator:
    """Makes damaged frames of good ones, always the same ones for the same seed."""

    def __init__(self, samples: Sequence[Frame], others: Sequence[bytes], seed: int) -> None:
        self._random = random.Random(seed)
        self._samples, self._others = samples, others
        self._damages: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._flip, self._overwrite, self._cut, self._remove, self._double,
            self._insert, self._splice, self._number, self._number, self._length, self._length,
            self._json, self._json, self._nest,
        )  # fmt: skip

    def frames(self, count: int) -> Iterator[Frame]:
        """Damaged frames."""
        choose = self._random
        for _ in range(count):
            sample = choose.choice(self._samples)
            payload = sample.payload
            # Damage to its bytes costs a JSON document its form and gets no further.
            inside = payload[:1] == b"{" and choose.random() < 0.7
            for _ in range(choose.randint(1, 4)):
                damage = self._json if inside else choose.choice(self._damages)
                payload = damage(payload)
            if choose.random() < 0.5:
                payload = _checked(payload)
            topic = self._topic(sample.topic) if choose.random() < 0.15 else sample.topic
            yield replace(sample, payload=payload, topic=topic)

    def _place(self, data: bytes) -> int:
        return self._random.randrange(len(data) + 1)

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return b"\0"
        place = self._random.randrange(len(data))
        changed = data[place] ^ 1 << self._random.randrange(8)
        return data[:place] + bytes([changed]) + data[place + 1 :]

    def _overwrite(self, data: bytes) -> bytes:
        place, length = self._place(data), self._random.randint(1, 8)
        return data[:place] + self._random.randbytes(length) + data[place + length :]

    def _cut(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] if self._random.random() < 0.7 else data[place:]

    def _remove(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + data[place + self._random.randint(1, 16) :]

    def _double(self, data: bytes) -> bytes:
        begin, end = sorted((self._place(data), self._place(data)))
        return data[:end] + data[begin:end] * self._random.choice((1, 1, 2, 40)) + data[end:]

    def _insert(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.choice(_PIECES) + data[place:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._others)
        return data[: self._place(data)] + other[self._place(other) :]

    def _number(self, data: bytes) -> bytes:
        found = list(_DIGITS.finditer(data))
        if not found:
            return self._overwrite(data)
        match = self._random.choice(found)
        return data[: match.start()] + self._random.choice(_NUMBERS) + data[match.end() :]

    def _length(self, data: bytes) -> bytes:
        """One, two or four bytes, as at a length: nothing, everything, a little too much."""
        size = self._random.choice((1, 1, 2, 4))
        value = self._random.choice((0, 1, 2, 0x7F, 0xFF, len(data), len(data) + 1, 2**31, 2**32))
        place = self._place(data)
        lie = (value % (1 << 8 * size)).to_bytes(size, "big")
        return data[:place] + lie + data[place + size :]

    def _json(self, data: bytes) -> bytes:
        """Another value, name or type somewhere in the document."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return self._insert(data)
        return json.dumps(self._changed(document), ensure_ascii=False).encode("utf-8", "replace")

    def _changed(self, value: Any) -> Any:
        choose = self._random
        if isinstance(value, dict) and value and choose.random() < 0.8:
            name = choose.choice(list(value))
            if choose.random() < 0.2:
                other = choose.choice(list(value))
                return {**value, other: value[name]}
            return {**value, name: self._changed(value[name])}
        if isinstance(value, list) and value and choose.random() < 0.7:
            place = choose.randrange(len(value))
            return [*value[:place], self._changed(value[place]), *value[place:]]
        return choose.choice(_VALUES)

    def _nest(self, data: bytes) -> bytes:
        depth = self._random.choice((3, 60, 900, 20_000))
        if self._random.random() < 0.5:
            return b"[" * depth + data + b"]" * depth
        return b'{"a":' * depth + data + b"}" * depth

    def _topic(self, topic: str) -> str:
        levels = topic.split("/")
        place = self._random.randrange(len(levels) + 1)
        change = self._random.choice(("", "x", "bridge", "..", "\0", "状态", "x" * 300, "set"))
        if self._random.random() < 0.3:
            del levels[place:]
        elif self._random.random() < 0.5:
            levels[place : place + 1] = [change]
        else:
            levels.insert(place, change)
        return "/".join(levels)


def _checked(data: bytes) -> bytes:
    """The frame with the check sum that its protocol would have now."""
    if len(data) > 10 and data[:2] in (b"\x78\x78", b"\x79\x79"):
        body = data[2:-4]
        return data[:2] + body + crc_itu(body).to_bytes(2, "big") + b"\r\n"
    if len(data) > 4 and data[:1] == b"\x7e":
        body = data[1:-2]
        plain = body.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
        return b"\x7e" + body + bytes([xor(plain)]) + b"\x7e"
    return data


def check(codec: Codec, frame: Frame) -> str:
    """Decode; what comes out must be usable by everything that follows. The reason of a refusal."""
    decoded = _decode(codec, frame)
    if isinstance(decoded, CodecError):
        assert decoded.reason.isidentifier()
        assert str(decoded)
        return decoded.reason
    assert isinstance(decoded, Decoded)
    assert len(decoded.messages) <= MAX_MESSAGES
    assert sum(map(len, decoded.replies)) <= MAX_REPLIES
    for message in decoded.messages:
        assert message.device or not frame.device
        _check_message(message)
    # What `silverline decode` prints must be a text that a pipe takes.
    json.dumps(records(decoded), ensure_ascii=False, allow_nan=False).encode()
    return ""


def _decode(codec: Codec, frame: Frame) -> Decoded | CodecError:
    try:
        return codec.decode(frame)
    except CodecError as error:
        return error


def _check_message(message: Message) -> None:
    assert message.at is None or message.at.utcoffset() is not None
    assert all(reading.metric in METRICS for reading in message.readings)
    assert all(math.isfinite(reading.value) for reading in message.readings)
    texts = [message.device, *message.states, *map(str, message.states.values())]
    assert all(len(text) <= MAX_TEXT for text in texts)
    # PostgreSQL refuses NUL in a text.
    assert not any("\0" in text for text in texts)
    assert len(message.states) <= 200
    if message.position is not None:
        assert -90 <= message.position.lat <= 90
        assert -180 <= message.position.lon <= 180
    if message.status is not None and message.status.battery_percent is not None:
        assert 0 <= message.status.battery_percent <= 100
