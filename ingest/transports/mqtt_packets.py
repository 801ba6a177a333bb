"""The packets of MQTT 3.1.1 and 5 that a subscriber needs, as bytes (ADR 0013). Pure.

Section numbers are those of the MQTT 5 standard; 3.1.1 differs by having no properties.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNACK, PUBLISH, SUBACK, PINGRESP, DISCONNECT = 2, 3, 9, 13, 14
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"
RETAINED, DUP = 0x01, 0x08
"""Bits of `Inbox.flags` (3.3.1)."""
UNSUPPORTED_VERSION = "Unsupported protocol version"

_QOS_1_IF_NEW = 0x11
"""QoS 1, and retained messages for a new subscription only, not at every reconnect (3.8.3.1)."""
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")
_SESSION_EXPIRY, _SERVER_KEEP_ALIVE, _RECEIVE_MAXIMUM, _MAXIMUM_PACKET = 0x11, 0x13, 0x21, 0x27
# How long the value of each property is: bytes, or its own kind (2.2.2.2).
_FIXED = {
    0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2,
    0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
_TEXTS = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_PAIR, _NUMBER = 0x26, 0x0B

_REASONS_3 = {
    1: UNSUPPORTED_VERSION,
    2: "Client identifier not valid",
    3: "Server unavailable",
    4: "Bad user name or password",
    5: "Not authorized",
}
_REASONS_5 = {
    0x81: "Malformed packet",
    0x82: "Protocol error",
    0x84: UNSUPPORTED_VERSION,
    0x85: "Client identifier not valid",
    0x86: "Bad user name or password",
    0x87: "Not authorized",
    0x88: "Server unavailable",
    0x89: "Server busy",
    0x8B: "Server shutting down",
    0x8D: "Keep alive timeout",
    0x8E: "Session taken over",
    0x93: "Receive maximum exceeded",
    0x95: "Packet too large",
    0x97: "Quota exceeded",
    0x9E: "Shared subscriptions not supported",
}


class MalformedPacketError(ValueError):
    """What came is not MQTT, or not what a subscriber can be sent."""


@dataclass(slots=True)
class Inbox:
    """Packets in the order in which they came; messages as columns of equal length.

    `ids` has 0 where a message is not to be acknowledged (QoS 0). `others` are (type, body).
    """

    topics: list[bytes] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    others: list[tuple[int, bytes]] = field(default_factory=list)


def read(data: bytes, start: int, limit: int, modern: bool, inbox: Inbox) -> tuple[int, int]:
    """Take whole packets out of `data`, at most `limit` messages.

    Returns where the rest begins, and how many bytes from there the next packet needs as far as it
    is known (0: the limit was reached). Raises MalformedPacketError.
    """
    # This loop runs once a message and is nearly the whole cost of MQTT (0.7 µs a message): what is
    # looked up in it, is local.
    put_topic, put_payload = inbox.topics.append, inbox.payloads.append
    put_id, put_flags = inbox.ids.append, inbox.flags.append
    end = len(data)
    while limit:
        if end - start < 2:
            return start, 2
        head, length, at = data[start], data[start + 1], start + 2
        if length & 0x80:
            length, at = _long_length(data, start + 1)
            if at == 0:
                return start, end - start + 1
        stop = at + length
        if stop > end:
            return start, stop - start
        if head >> 4 != PUBLISH:
            inbox.others.append((head >> 4, data[at:stop]))
            start = stop
            continue
        begin = at + 2
        at = begin + (data[at] << 8 | data[at + 1]) if length > 1 else stop + 1
        topic_end, packet_id = at, 0
        if head & 0x06:
            if head & 0x04:
                raise MalformedPacketError("a message of QoS 2 was never subscribed")
            at += 2
            if at > stop:
                raise MalformedPacketError("a message ends in its head")
            packet_id = data[at - 2] << 8 | data[at - 1]
        if modern:
            at = _behind_properties(data, at, stop)
        if at > stop:
            raise MalformedPacketError("a message ends in its head")
        put_topic(data[begin:topic_end])
        put_payload(data[at:stop])
        put_id(packet_id)
        put_flags(head)
        start = stop
        limit -= 1
    return start, 0


def _long_length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5) and the place behind it; (0, 0) while it is not whole."""
    value, shift = 0, 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 21:
            raise MalformedPacketError("a length has more than four bytes")
    return 0, 0


def _behind_properties(data: bytes, at: int, stop: int) -> int:
    if at >= stop:
        raise MalformedPacketError("properties are missing")
    if data[at] < 0x80:
        return at + 1 + data[at]
    length, behind = _long_length(data[:stop], at)
    if behind == 0:
        raise MalformedPacketError("properties are cut off")
    return behind + length


def connect(
    client_id: str,
    username: str,
    password: str,
    keepalive: int,
    *,
    modern: bool,
    session_seconds: int,
    receive_maximum: int,
    maximum_packet: int,
) -> bytes:
    """CONNECT that takes up the client's session again (3.1). Raises ValueError for long names."""
    flags = (0xC0 if password else 0x80) if username else 0
    body = b"\x00\x04MQTT" + bytes((5 if modern else 4, flags)) + _U16.pack(keepalive)
    if modern:
        properties = (
            bytes((_SESSION_EXPIRY,)) + _U32.pack(session_seconds)
            + bytes((_RECEIVE_MAXIMUM,)) + _U16.pack(receive_maximum)
            + bytes((_MAXIMUM_PACKET,)) + _U32.pack(maximum_packet)
        )  # fmt: skip
        body += _length(len(properties)) + properties
    body += _text(client_id)
    if username:
        body += _text(username) + (_text(password) if password else b"")
    return b"\x10" + _length(len(body)) + body


def subscribe(packet_id: int, filters: Sequence[str], *, modern: bool) -> bytes:
    """SUBSCRIBE with QoS 1 (3.8)."""
    body = _U16.pack(packet_id) + (b"\x00" if modern else b"")
    option = bytes((_QOS_1_IF_NEW if modern else 1,))
    body += b"".join(_text(each) + option for each in filters)
    return b"\x82" + _length(len(body)) + body


def pubacks(packet_ids: Sequence[int]) -> bytes:
    """PUBACK of each, one behind the other: success needs no reason code (3.4.2.1)."""
    return b"".join([b"\x40\x02" + _U16.pack(each) for each in packet_ids])


@dataclass(frozen=True, slots=True)
class Welcome:
    """CONNACK (3.2). `refused` is the broker's reason in words, "" when it takes us in.

    `session`: it had kept our session (3.2.2.1.1), and with it what came while we were away.
    """

    refused: str
    keepalive: int | None = None
    session: bool = False


def read_connack(body: bytes, *, modern: bool) -> Welcome:
    """What the broker says to CONNECT. Raises MalformedPacketError."""
    if len(body) < 2:
        raise MalformedPacketError("CONNACK is too short")
    reason = body[1]
    if reason:
        # A broker that does not know MQTT 5 may answer in the words of 3.1.1.
        known = _REASONS_5 if modern and reason >= 0x80 else _REASONS_3
        return Welcome(known.get(reason, f"reason {reason}"))
    keepalive = _property(body, 2, _SERVER_KEEP_ALIVE) if modern and len(body) > 2 else None
    return Welcome("", keepalive, session=bool(body[0] & 0x01))


def read_suback(body: bytes, *, modern: bool) -> str:
    """The reason why a subscription was refused, in words, or "" (3.9.3)."""
    at = _behind_properties(body, 2, len(body)) if modern else 2
    refused = [code for code in body[at:] if code >= 0x80]
    if not refused:
        return ""
    return _REASONS_5.get(refused[0], "Unspecified error")


def read_disconnect(body: bytes) -> str:
    """Why the broker hangs up, in words (3.14.2.1)."""
    return _REASONS_5.get(body[0], f"reason {body[0]}") if body else "Normal disconnection"


def _property(body: bytes, at: int, wanted: int) -> int | None:
    """The value of a two-byte property."""
    stop = _behind_properties(body, at, len(body))
    while body[at] >= 0x80:
        at += 1
    at += 1
    while at < stop:
        kind, at = body[at], at + 1
        if kind == wanted:
            return int.from_bytes(body[at : at + 2], "big")
        if kind in _FIXED:
            at += _FIXED[kind]
        elif kind in _TEXTS or kind == _PAIR:
            for _ in range(2 if kind == _PAIR else 1):
                at += 2 + int.from_bytes(body[at : at + 2], "big")
        elif kind == _NUMBER:
            _, at = _long_length(body, at)
        else:
            raise MalformedPacketError(f"unknown property {kind}")
    return None


def _text(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) > 65_535:
        raise ValueError("longer than MQTT's strings can be")
    return _U16.pack(len(encoded)) + encoded


def _length(size: int) -> bytes:
    found = bytearray()
    while size > 127:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found)
