"""Last wills at the embedded broker: passed on where the device itself may publish, or nowhere."""

import asyncio
from datetime import datetime

import pytest

from kernel.db import Database
from tests.app.embedded.test_broker import (
    Client,
    device,
    eventually,
    packet,
    port,
    subscribed,
    text,
)

__all__ = ["port"]
USER, PASSWORD, WILL, QOS_1, RETAIN, CLEAN = 0x80, 0x40, 0x04, 0x08, 0x20, 0x02


def connect_with_will(device_id: str, password: str, topic: str, *, retain: bool = False) -> bytes:
    flags = USER | PASSWORD | WILL | QOS_1 | CLEAN | (RETAIN if retain else 0)
    will = text(topic) + text('{"seq":1,"alarm":"fall"}')
    body = text("MQTT") + bytes([4, flags, 0, 30]) + text(device_id) + will
    return packet(0x10, body + text(device_id) + text(password))


@pytest.mark.parametrize("retain", [False, True])
async def test_a_will_speaks_for_its_own_device_only(
    db: Database, port: int, now: datetime, retain: bool
) -> None:
    _, password = await device(db, "P-0001", now)
    await device(db, "P-0002", now)
    listener = await subscribed(port, "ingest", "#")
    own = "silverline/v1/P-0001/status"
    for topic in ("silverline/v1/P-0002/alarm", "silverline/v1/P-0002/command", "$SYS/x", own):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect_with_will("P-0001", password, topic, retain=retain))
        assert (await reader.readexactly(4))[3] == 0
        writer.transport.abort()
    await eventually(lambda: any(topic == own for topic, _ in listener.received))
    listener.close()
    late = await subscribed(port, "late", "#") if retain else None
    if late is not None:
        await eventually(lambda: bool(late.received))
        late.close()
    heard: list[Client] = [listener] if late is None else [listener, late]
    assert {topic for client in heard for topic, _ in client.received} == {own}
