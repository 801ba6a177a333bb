"""MQTT by the byte: what is read is what was sent, however it is cut, and nonsense is refused."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from ingest.lanes import Lane
from ingest.settings import IngestSettings
from ingest.transports import mqtt_packets as packets
from ingest.transports.mqtt import Subscription
from ingest.transports.mqtt_connection import Connection, Link, Refused, Ticket, Version
from ingest.transports.mqtt_packets import Inbox, MalformedPacketError
from tests.ingest.home import until

LINK = Link("127.0.0.1", 0, "ingest-bulk", "ingest", "secret", False, "", 30, 3600, 1000)
sizes = st.one_of(st.integers(0, 300), st.sampled_from([16_300, 16_400, 70_000]))


def length(size: int) -> bytes:
    found = b""
    while size > 127:
        found += bytes((size & 127 | 128,))
        size >>= 7
    return found + bytes((size,))


def publish(
    topic: bytes, payload: bytes, packet_id: int, flags: int, properties: bytes | None
) -> bytes:
    body = struct.pack(">H", len(topic)) + topic
    body += struct.pack(">H", packet_id) if packet_id else b""
    if properties is not None:
        body += length(len(properties)) + properties
    head = 0x30 | flags | (0x02 if packet_id else 0)
    return bytes((head,)) + length(len(body) + len(payload)) + body + payload


@st.composite
def streams(draw: st.DrawFn) -> tuple[bool, list[tuple[bytes, bytes, int, int]], bytes]:
    modern = draw(st.booleans())
    sent: list[tuple[bytes, bytes, int, int]] = []
    wire = b""
    for _ in range(draw(st.integers(0, 6))):
        topic = draw(st.binary(max_size=40))
        payload = bytes(draw(sizes))
        packet_id = draw(st.integers(0, 65_535))
        flags = draw(st.sampled_from([0, 1, 8, 9])) if packet_id else draw(st.sampled_from([0, 1]))
        properties = draw(st.sampled_from([b"", b"\x01\x01", b"\x26" * 200])) if modern else None
        wire += publish(topic, payload, packet_id, flags, properties)
        sent.append((topic, payload, packet_id, flags))
        if draw(st.booleans()):
            wire += b"\xd0\x00"
    return modern, sent, wire


@given(streams(), st.lists(st.integers(1, 70_000), max_size=8), st.integers(1, 4))
def test_messages_are_read_whole_however_the_stream_is_cut(
    stream: tuple[bool, list[tuple[bytes, bytes, int, int]], bytes], cuts: list[int], limit: int
) -> None:
    modern, sent, wire = stream
    got: list[tuple[bytes, bytes, int, int]] = []
    held = b""
    for cut in [*cuts, len(wire)]:
        held, wire = held + wire[:cut], wire[cut:]
        while True:
            inbox = Inbox()
            rest, needed = packets.read(held, 0, limit, modern, inbox)
            held = held[rest:]
            flags = [each & 0x09 for each in inbox.flags]
            got += list(zip(inbox.topics, inbox.payloads, inbox.ids, flags, strict=True))
            if needed:
                assert needed > len(held)
                break
    assert held == b""
    assert got == sent


@given(st.booleans(), st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(modern: bool, data: bytes) -> None:
    inbox = Inbox()
    try:
        rest, needed = packets.read(data, 0, 100, modern, inbox)
    except MalformedPacketError:
        return
    assert 0 <= rest <= len(data)
    assert needed > 0
    assert len(inbox.topics) == len(inbox.payloads) == len(inbox.ids) == len(inbox.flags)


@given(st.booleans(), st.binary(max_size=40))
def test_answers_that_are_nonsense_are_refused(modern: bool, body: bytes) -> None:
    for read in (packets.read_connack, packets.read_suback):
        try:
            read(body, modern=modern)
        except (MalformedPacketError, IndexError):
            continue
    assert packets.read_disconnect(body)


@pytest.mark.parametrize(
    "wire",
    [
        b"\x30\xff\xff\xff\xff\x01",
        publish(b"t", b"x", 0, 0x04, None),
        b"\x30\x01\x00",
        b"\x32\x03\x00\x01t",
        b"\x30\x05\x00\x09abc",
    ],
)
def test_malformed_messages_are_told_from_those_that_are_not_whole(wire: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        packets.read(wire, 0, 10, False, Inbox())


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def broker(talk: Conversation) -> AsyncIterator[Link]:
    """A broker that says what the test wants it to."""
    ended: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ended.append(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield replace(LINK, port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in ended:
            task.cancel()


async def packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head, size = await reader.readexactly(2)
    shift = 7
    total = size & 127
    while size > 127:
        (size,) = await reader.readexactly(1)
        total |= (size & 127) << shift
        shift += 7
    return head, await reader.readexactly(total)


async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert (await packet(reader))[0] == 0x10
    writer.write(b"\x20\x03\x00\x00\x00")
    assert (await packet(reader))[0] == 0x82
    writer.write(b"\x90\x04\x00\x01\x00\x01")


def connection(link: Link, got: list[tuple[Inbox, Ticket]], room: int = 1000) -> Connection:
    return Connection(
        link, Version.MQTT5, lambda _, inbox, ticket: got.append((inbox, ticket)), lambda: room
    )


async def test_acknowledgements_leave_in_the_order_of_the_messages() -> None:
    got: list[tuple[Inbox, Ticket]] = []
    acknowledged: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await welcome(reader, writer)
        for packet_id in range(1, 7):
            writer.write(publish(b"t", b"x", packet_id, 0, b""))
        while True:
            head, body = await packet(reader)
            if head == 0x40:
                acknowledged.append(int.from_bytes(body, "big"))

    async with broker(talk) as link:
        live = connection(link, got, room=2)
        await live.open(["t"], 10)

        async def all_there() -> bool:
            return sum(len(inbox.topics) for inbox, _ in got) == 6

        await until(all_there)
        assert max(len(inbox.topics) for inbox, _ in got) <= 2
        for _, ticket in reversed(got[1:]):
            live.settle(ticket)
        await asyncio.sleep(0)
        assert acknowledged == []
        live.settle(got[0][1])

        async def all_acknowledged() -> bool:
            return acknowledged == [1, 2, 3, 4, 5, 6]

        await until(all_acknowledged)
        await live.close()
        assert live.closed.done()


async def test_a_paused_connection_hands_on_nothing_until_there_is_room() -> None:
    got: list[tuple[Inbox, Ticket]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await welcome(reader, writer)
        for packet_id in range(1, 2001):
            writer.write(publish(b"t", bytes(1000), packet_id, 0, b""))
        await reader.read()

    async with broker(talk) as link:
        live: Connection

        def once(_: Connection, inbox: Inbox, ticket: Ticket) -> None:
            got.append((inbox, ticket))
            live.pause()

        live = Connection(link, Version.MQTT5, once, lambda: 1000)
        await live.open(["t"], 10)

        async def first() -> bool:
            return len(got) == 1

        async def all_there() -> bool:
            live.resume()
            return sum(len(inbox.topics) for inbox, _ in got) == 2000

        await until(first)
        await asyncio.sleep(0.05)
        assert len(got) == 1
        await until(all_there)
        live.abort()


async def test_a_session_whose_messages_come_before_the_subscription_is_granted_is_open() -> None:
    got: list[tuple[Inbox, Ticket]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x01\x00\x00" + publish(b"t", b"x", 1, 0, b""))
        # The lane is full now: the answer to SUBSCRIBE cannot be read until it has room again.
        await reader.read()

    async with broker(talk) as link:
        live: Connection

        def full(_: Connection, inbox: Inbox, ticket: Ticket) -> None:
            got.append((inbox, ticket))
            live.pause()

        live = Connection(link, Version.MQTT5, full, lambda: 0)
        await live.open(["t"], 10)
        assert [inbox.topics for inbox, _ in got] == [[b"t"]]
        live.abort()


async def test_refusals_say_why_and_whether_another_version_may_help() -> None:
    async def unknown_version(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x02\x00\x01")

    async def bad_password(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x00\x86\x00")

    async def no_share(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00")
        await packet(reader)
        writer.write(b"\x90\x04\x00\x01\x00\x9e")

    async def hangs_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await packet(reader)

    for talk, said, other_version in (
        (unknown_version, "Unsupported protocol version", True),
        (bad_password, "Bad user name or password", False),
        (no_share, "Shared subscriptions not supported", False),
        (hangs_up, "hung up", True),
    ):
        async with broker(talk) as link:
            with pytest.raises(Refused, match=said) as refused:
                await connection(link, []).open(["t"], 10)
            assert refused.value.other_version is other_version


async def test_the_brokers_keep_alive_counts_and_its_goodbye_ends_the_connection() -> None:
    pinged = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        # User property, then Server Keep Alive of one second.
        properties = b"\x26\x00\x01a\x00\x01b\x13\x00\x01"
        writer.write(b"\x20" + bytes((3 + len(properties), 0, 0, len(properties))) + properties)
        await packet(reader)
        writer.write(b"\x90\x04\x00\x01\x00\x01")
        while (await packet(reader))[0] != 0xC0:
            pass
        pinged.set()
        writer.write(b"\xd0\x00\xe0\x02\x8b\x00")
        await reader.read()

    async with broker(talk) as link:
        live = connection(link, [])
        await live.open(["t"], 10)

        async def asked() -> bool:
            live.tick()
            return pinged.is_set()

        await until(asked)
        assert await asyncio.wait_for(live.closed, 20) == "Server shutting down"


def lost_sessions() -> float:
    labels = {"lane": RoomyLane.name}
    return REGISTRY.get_sample_value("silverline_ingest_sessions_lost_total", labels) or 0.0


class RoomyLane:
    """As much of a lane as a subscription without messages asks for."""

    name = "bulk"
    room = 100


async def test_a_broker_that_has_forgotten_the_session_is_reported() -> None:
    """What came while we were away is gone then: its persistence is off, or the session too old."""
    kept = iter((b"\x00", b"\x01", b"\x00"))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03" + next(kept) + b"\x00\x00")
        await packet(reader)
        writer.write(b"\x90\x04\x00\x01\x00\x01")

    async with broker(talk) as link:
        settings = IngestSettings(mqtt_host=link.host, mqtt_port=link.port, mqtt_protocol="5")
        subscription = Subscription(settings, cast("Lane", RoomyLane()), ["t"])
        before = lost_sessions()
        running = asyncio.create_task(subscription.run())

        async def three_times() -> bool:
            return subscription.connects == 3

        await until(three_times)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert lost_sessions() - before == 1


async def test_what_is_not_mqtt_ends_the_connection() -> None:
    opened = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await welcome(reader, writer)
        await opened.wait()
        writer.write(b"\x32\x03\x00\x01t")
        await reader.read()

    async with broker(talk) as link:
        live = connection(link, [])
        await live.open(["t"], 10)
        opened.set()
        assert await asyncio.wait_for(live.closed, 20) == "malformed packet"
