"""The identity of a message: what makes a second copy of it recognisable, for exactly-once effect.

Three kinds of protocol, from the best to the poorest:

1. With a sequence number (protocol v1): the identity is (device, kind, session, number, time). The
   time is in it because a counter restarts at 0 when a battery is changed; the kind because some
   firmware forgets to count, and an alarm must not pass for a copy of the vitals before it. Time
   (milliseconds, 48 bits) and number (32 bits) stand in front as they are, so that a device's marks
   lie in the index in the order in which they come; the last 48 bits are a hash of the rest.
2. With a time of the device but no number (zigbee2mqtt with `last_seen`, a watch's position
   report): (device, time, content).
3. With neither (a zigbee2mqtt button without `last_seen`): the same bytes twice are two presses of
   the same button, and the second one is never swallowed. Only an MQTT redelivery is a copy: DUP
   flag, same content, same device, same packet identifier (MQTT 5, 4.4: a server sends again under
   the original identifier), within `REDELIVERY_WINDOW`. The packet identifier tells a redelivered
   second press from the first press that was stored a moment ago. So the identity is made of the
   content (64 bits), the moment of arrival in milliseconds (48 bits) and the packet identifier
   (16 bits): all deliveries of one content lie next to each other in the index, ordered by time,
   and `copies` gives the range in which a redelivered one looks for its first delivery. In doubt
   (other identifier, window over, another subscriber of a shared subscription) the alarm rings
   again: a second call to the elder costs a minute, a swallowed one may cost more.

Identities are 128 bits in the shape of a UUID, hashed by BLAKE2b, compared within one device only.
"""

import itertools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from devices.messages import Message

REDELIVERY_WINDOW = timedelta(seconds=60)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIS_48 = (1 << 48) - 1
_LOW_32 = (1 << 32) - 1
_LOW_64 = (1 << 64) - 1
# Deliveries without a packet identifier (QoS 0, TCP) are numbered by us: two presses that arrive in
# one millisecond are two. They carry no DUP flag, so nobody ever looks for them by this number.
_arrivals = itertools.count()


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a frame came in: when, under which packet identifier, and whether it is a redelivery."""

    received_at: datetime
    packet_id: int = 0
    redelivered: bool = False


@dataclass(frozen=True, slots=True)
class Copies:
    """Where to look for the first delivery of a redelivered message of the third kind.

    Stored identities of the device from `low` to `high` whose last 16 bits are `packet_id`.
    """

    low: uuid.UUID
    high: uuid.UUID
    packet_id: int

    def matches(self, stored: uuid.UUID) -> bool:
        """True when this stored identity is the first delivery of the message."""
        return self.low <= stored <= self.high and stored.int & 0xFFFF == self.packet_id


@dataclass(frozen=True, slots=True)
class Identity:
    """The key under which a message is stored, and where a redelivered one has its first copy."""

    key: uuid.UUID
    copies: Copies | None = None


def identify(device_no: int, message: Message, content: bytes, arrival: Arrival) -> Identity:
    """Return the identity of one message.

    `content` is the payload of its frame, and for one of several messages of a frame also its place
    there: messages without number and time that differ in nothing else must stay two.
    """
    if message.seq is not None:
        return Identity(_by_number(message, message.seq))
    if message.at is not None:
        head = f"t|{device_no}|{_time(message.at)}|".encode()
        return Identity(_uuid(head + content))
    return _by_arrival(device_no, content, arrival)


def _by_number(message: Message, seq: int) -> uuid.UUID:
    time, rest = 0, "never"
    if message.at is not None:
        millis, micros = divmod((message.at - _EPOCH) // timedelta(microseconds=1), 1000)
        time = millis & _MILLIS_48
        rest = f"{millis >> 48}|{micros}"
    salt = salt_of(message.kind, message.session, f"{seq >> 32}|{rest}")
    return uuid.UUID(int=time << 80 | (seq & _LOW_32) << 48 | salt)


COMMON = "0|0|0"
"""What `salt_of` gets for numbers below 2^32 and times in whole milliseconds from 1970 on."""


def salt_of(kind: str, session: str | None, rest: str) -> int:
    """The last 48 bits of the identity of a message with a number.

    `rest` is what of number and time does not fit into the bits before.
    """
    said = f"s|{kind}|{session}|{rest}".encode()
    return int.from_bytes(blake2b(said, digest_size=6).digest(), "big")


def _by_arrival(device_no: int, content: bytes, arrival: Arrival) -> Identity:
    digest = blake2b(f"a|{device_no}|".encode() + content, digest_size=8).digest()
    high = int.from_bytes(digest, "big") << 64
    moment = _millis(arrival.received_at)
    own = arrival.packet_id or next(_arrivals) & 0xFFFF
    copies = None
    if arrival.redelivered and arrival.packet_id:
        since = max(0, moment - int(REDELIVERY_WINDOW.total_seconds() * 1000))
        copies = Copies(
            uuid.UUID(int=high | since << 16),
            uuid.UUID(int=high | _LOW_64),
            arrival.packet_id,
        )
    return Identity(uuid.UUID(int=high | moment << 16 | own), copies)


def _uuid(content: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=blake2b(content, digest_size=16).digest())


def _millis(at: datetime) -> int:
    return ((at - _EPOCH) // timedelta(milliseconds=1)) & _MILLIS_48


def _time(at: datetime | None) -> str:
    # Microseconds as a whole number: a float would lose the last digits.
    return "" if at is None else str((at - _EPOCH) // timedelta(microseconds=1))
