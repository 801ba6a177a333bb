"""Everything comes several times and in any order, from several connections at once."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from kernel.clock import utcnow
from kernel.db import fetch_tuples
from tests.faults import books
from tests.faults.books import Stored
from tests.faults.installation import Installation, until
from tests.faults.run import LINES

EACH = 30
COPIES = (1, 1, 2, 3)
LINKS = 4
METRICS = ("heart_rate", "spo2", "body_temperature")


@dataclass(frozen=True)
class Told:
    """One message of a device as it goes over the wire."""

    device: str
    topic: str
    payload: bytes


def lives(devices: list[str], dice: random.Random) -> list[Told]:
    """The last minutes of each device: numbered vitals, and a press of the button in between."""
    begin = utcnow() - timedelta(seconds=EACH)
    told = []
    for device in devices:
        for seq in range(EACH):
            at = int((begin + timedelta(seconds=seq)).timestamp() * 1000)
            body: dict[str, object] = {"seq": seq, "sid": "disorder", "t": at}
            if seq == EACH // 2:
                kind, more = "alarm", {"alarm": "sos", "active": True}
            else:
                values = (dice.randint(65, 85), dice.randint(95, 99), 36.5)
                kind, more = "vitals", {"vitals": dict(zip(METRICS, values, strict=True))}
            topic = f"silverline/v1/{device}/{kind}"
            told.append(Told(device, topic, json.dumps(body | more).encode()))
    return told


async def publish(port: int, messages: list[Told]) -> None:
    """Send in the given order over one connection and wait for every acknowledgement."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    await asyncio.to_thread(client.connect, "127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(each.topic, each.payload, qos=1) for each in messages]
    for each in sent:
        await asyncio.to_thread(each.wait_for_publish, 60)
    client.disconnect()
    client.loop_stop()


async def difference(installation: Installation, before: Stored) -> Stored:
    return (await books.stored(installation.db)).since(before)


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_copies_in_any_order_are_stored_once_and_judged_once(
    installation: Installation, name: str
) -> None:
    dice = random.Random(name)
    listed = json.loads((installation.stack.data_dir / "devices.json").read_text("utf-8"))
    devices = [one["device_id"] for one in listed if one["type"] == "watch"]
    told = lives(devices, dice)
    copies = [each for each in told for _ in range(dice.choice(COPIES))]
    dice.shuffle(copies)
    before = await books.stored(installation.db)
    async with installation.operators():
        shares = [copies[link::LINKS] for link in range(LINKS)]
        port = installation.stack.mqtt_port
        await asyncio.gather(*(publish(port, share) for share in shares))
        await installation.ready("ingest")
        wanted = Counter(each.device for each in told)

        async def complete() -> bool:
            found = await difference(installation, before)
            quiet = "SELECT count(*) FROM incident WHERE status <> 'resolved'"
            enough = all(found.messages.get(one, 0) >= wanted[one] for one in devices)
            return enough and not await installation.count(quiet)

        await until(complete, "every message to be stored and every incident to be resolved")
    found = await difference(installation, before)
    lost = sum(max(0, wanted[one] - found.messages.get(one, 0)) for one in devices)
    doubled = sum(max(0, found.messages.get(one, 0) - wanted[one]) for one in devices)
    LINES.append(
        f"{name}: sent {len(copies)} (different {len(told)})"
        f" stored {sum(found.messages.get(one, 0) for one in devices)}"
        f" doubled {doubled} lost {lost} · dead letters {found.letters}"
    )
    assert (lost, doubled, found.letters) == (0, 0, 0)
    readings = (EACH - 1) * len(METRICS)
    assert {one: found.readings.get(one, 0) for one in devices} == dict.fromkeys(devices, readings)
    await check_alarms(installation, devices)


async def check_alarms(installation: Installation, devices: list[str]) -> None:
    """One press of each device is one alarm, and what is shown is the newest that was said."""
    async with installation.db.connection() as conn:
        presses = await fetch_tuples(
            conn,
            "SELECT d.id, count(*) FROM alarm a JOIN device d ON d.no = a.device_no"
            " WHERE a.seq = %s AND a.kind = 'sos' AND d.id = ANY(%s) GROUP BY 1",
            (EACH // 2, devices),
        )
    assert dict(presses) == dict.fromkeys(devices, 1)

    async def newest_is_shown() -> bool:
        # Ingest writes what is shown every other second (ingest/telemetry/latest.py).
        return not await installation.count(
            "SELECT count(*) FROM latest_reading l JOIN device d ON d.no = l.device_no"
            " WHERE d.id = ANY(%s) AND l.time < (SELECT max(r.time) FROM reading r"
            "  WHERE r.device_no = l.device_no AND r.metric = l.metric AND r.quality & 10 = 0)",
            devices,
        )

    await until(newest_is_shown, "the newest readings to be shown")
