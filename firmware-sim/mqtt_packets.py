"""MQTT control packets, as bytes and back: the small part of the standard that a device needs.

MQTT 3.1.1 (OASIS 2014) is protocol level 4, MQTT 5.0 (OASIS 2019) is level 5. Section numbers in
the docstrings are those of MQTT 5.0; 3.1.1 has the same packets without properties. Pure functions.
"""

from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, PINGRESP, DISCONNECT = 8, 9, 13, 14
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

_RECEIVE_MAXIMUM, _SERVER_KEEP_ALIVE = 0x21, 0x13
# Length in bytes of a property's value (§2.2.2.2); the rest are strings or pairs of strings.
_ONE = frozenset({0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A})
_TWO = frozenset({0x13, 0x21, 0x22, 0x23})
_FOUR = frozenset({0x02, 0x11, 0x18, 0x27})
_PAIR = 0x26
_VARIABLE = 0x0B

REFUSALS = {
    1: "the broker does not speak this version of MQTT",
    2: "the broker does not accept the client identifier",
    3: "the broker is not available",
    4: "wrong user name or password",
    5: "not authorised",
    0x84: "the broker does not speak this version of MQTT",
    0x85: "the broker does not accept the client identifier",
    0x86: "wrong user name or password",
    0x87: "not authorised",
    0x88: "the broker is not available",
    0x89: "the broker is busy",
    0x8A: "banned",
    0x97: "over quota",
    0x9F: "too many connections",
}


class MqttError(ValueError):
    """The other side sent something that is not MQTT."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet: its type, the low four bits of its first byte, what follows."""

    type: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Login:
    """What CONNECT carries. `keepalive` in seconds; `level` 4 (MQTT 3.1.1) or 5."""

    client_id: str
    username: str
    password: str
    will_topic: str
    will_payload: bytes
    keepalive: int
    level: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """CONNACK. `code` 0 is success; the limits are the broker's, None where it names none."""

    code: int
    receive_maximum: int | None = None
    keepalive: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A PUBLISH from the broker."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int


def connect(login: Login) -> bytes:
    """CONNECT (§3.1) with a clean session; the will is at QoS 1 and not retained."""
    flags = 0x02
    properties = b"\x00" if login.level == 5 else b""
    payload = _string(login.client_id)
    if login.will_topic:
        flags |= 0x04 | 0x08
        payload += properties + _string(login.will_topic) + _binary(login.will_payload)
    if login.username:
        flags |= 0x80
        payload += _string(login.username)
        if login.password:
            flags |= 0x40
            payload += _string(login.password)
    head = _string("MQTT") + bytes((login.level, flags)) + _short(login.keepalive)
    return _packet(CONNECT << 4, head + properties + payload)


def publish(topic: str, payload: bytes, packet_id: int, *, dup: bool, level: int) -> bytes:
    """PUBLISH (§3.3) at QoS 1, not retained."""
    properties = b"\x00" if level == 5 else b""
    first = PUBLISH << 4 | (0x08 if dup else 0) | 0x02
    return _packet(first, _string(topic) + _short(packet_id) + properties + payload)


def subscribe(packet_id: int, topic: str, *, level: int) -> bytes:
    """SUBSCRIBE (§3.8) to one filter at QoS 1."""
    properties = b"\x00" if level == 5 else b""
    return _packet(SUBSCRIBE << 4 | 2, _short(packet_id) + properties + _string(topic) + b"\x01")


def puback(packet_id: int) -> bytes:
    """PUBACK (§3.4): received; the same two bytes in both versions."""
    return _packet(PUBACK << 4, _short(packet_id))


def read_connack(body: bytes, level: int) -> Welcome:
    """CONNACK (§3.2)."""
    if len(body) < 2:
        raise MqttError("a CONNACK that is too short")
    if level != 5 or len(body) < 3:
        return Welcome(body[1])
    found = _properties(body, 2)[0]
    return Welcome(
        code=body[1],
        receive_maximum=found.get(_RECEIVE_MAXIMUM),
        keepalive=found.get(_SERVER_KEEP_ALIVE),
    )


def read_puback(body: bytes) -> tuple[int, int]:
    """PUBACK or SUBACK head: (packet id, reason code); the code is 0 where none is given."""
    if len(body) < 2:
        raise MqttError("a PUBACK that is too short")
    return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0


def read_publish(packet: Packet, level: int) -> Incoming:
    """PUBLISH (§3.3) from the broker."""
    body = packet.body
    qos = packet.flags >> 1 & 3
    end = 2 + int.from_bytes(body[:2], "big")
    position, packet_id = end, 0
    if qos:
        packet_id = int.from_bytes(body[position : position + 2], "big")
        position += 2
    if level == 5:
        position = _properties(body, position)[1]
    if position > len(body):
        raise MqttError("a PUBLISH that is too short")
    try:
        name = body[2:end].decode()
    except UnicodeDecodeError as error:
        raise MqttError("a topic that is not UTF-8") from error
    return Incoming(name, body[position:], qos, packet_id)


class PacketReader:
    """Cuts a byte stream into packets (§2.1)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """Take more bytes; give the packets that are now complete. Raises MqttError."""
        self._buffer += data
        packets, start = [], 0
        while len(self._buffer) - start >= 2:
            length, position = _variable(self._buffer, start + 1)
            if position is None or position + length > len(self._buffer):
                break
            first = self._buffer[start]
            body = bytes(self._buffer[position : position + length])
            packets.append(Packet(first >> 4, first & 15, body))
            start = position + length
        del self._buffer[:start]
        return packets


def _variable(data: bytes | bytearray, start: int) -> tuple[int, int | None]:
    """A variable byte integer (§1.5.5): (value, where it ends), or None when it is cut off."""
    value = 0
    for index in range(4):
        if start + index >= len(data):
            return 0, None
        byte = data[start + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, start + index + 1
    raise MqttError("a packet length of more than four bytes")


def _properties(body: bytes, start: int) -> tuple[dict[int, int], int]:
    """The numeric properties that begin at `start` (§2.2.2) and where they end."""
    length, position = _variable(body, start)
    if position is None or position + length > len(body):
        raise MqttError("properties that are cut off")
    end, found = position + length, {}
    while position < end:
        name = body[position]
        position += 1
        size = 1 if name in _ONE else 2 if name in _TWO else 4 if name in _FOUR else 0
        if size:
            found[name] = int.from_bytes(body[position : position + size], "big")
        elif name == _VARIABLE:
            found[name], after = _variable(body, position)
            size = (after or end) - position
        else:
            for _ in range(2 if name == _PAIR else 1):
                size += 2 + int.from_bytes(body[position + size : position + size + 2], "big")
        position += size
    return found, end


def _packet(first: int, body: bytes) -> bytes:
    length, head = len(body), bytearray((first,))
    while True:
        byte, length = length & 0x7F, length >> 7
        head.append(byte | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def _short(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _binary(value: bytes) -> bytes:
    return _short(len(value)) + value


def _string(value: str) -> bytes:
    return _binary(value.encode())
