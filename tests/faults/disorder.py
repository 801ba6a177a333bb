"""What devices say, several times and in any order, over several connections at once."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from app.demo.simulator import SentAlarm
from kernel.clock import utcnow
from tests.faults.installation import Installation

EACH = 30
PRESS = EACH // 2
METRICS = ("heart_rate", "spo2", "body_temperature")
_COPIES = (1, 1, 2, 3)
_LINKS = 4


@dataclass(frozen=True)
class Told:
    """One message of a device as it goes over the wire."""

    device: str
    topic: str
    payload: bytes


def watches(installation: Installation) -> list[str]:
    """The devices that say all this."""
    listed = json.loads((installation.stack.data_dir / "devices.json").read_text("utf-8"))
    return [one["device_id"] for one in listed if one["type"] == "watch"]


def lives(devices: Sequence[str], dice: random.Random, session: str = "disorder") -> list[Told]:
    """The last minutes of each device: numbered vitals, and a press of the button in between."""
    begin = utcnow() - timedelta(seconds=EACH)
    told = []
    for device in devices:
        for seq in range(EACH):
            at = int((begin + timedelta(seconds=seq)).timestamp() * 1000)
            body: dict[str, object] = {"seq": seq, "sid": session, "t": at}
            if seq == PRESS:
                kind, more = "alarm", {"alarm": "sos", "active": True}
            else:
                values = (dice.randint(65, 85), dice.randint(95, 99), 36.5)
                kind, more = "vitals", {"vitals": dict(zip(METRICS, values, strict=True))}
            topic = f"silverline/v1/{device}/{kind}"
            told.append(Told(device, topic, json.dumps(body | more).encode()))
    return told


def counted(devices: Sequence[str]) -> tuple[Counter[str], Counter[str], list[SentAlarm]]:
    """What the lives of these devices come to: messages and readings by device, and alarms."""
    messages = Counter(dict.fromkeys(devices, EACH))
    readings = Counter(dict.fromkeys(devices, (EACH - 1) * len(METRICS)))
    at_ms = utcnow().timestamp() * 1000
    return messages, readings, [SentAlarm(one, PRESS, "sos", at_ms) for one in devices]


async def publish_copies(port: int, told: Sequence[Told], dice: random.Random) -> int:
    """Send each message up to three times, shuffled, over four connections; return how many."""
    copies = [each for each in told for _ in range(dice.choice(_COPIES))]
    dice.shuffle(copies)
    shares = [copies[link::_LINKS] for link in range(_LINKS)]
    await asyncio.gather(*(_publish(port, share) for share in shares))
    return len(copies)


async def _publish(port: int, messages: Sequence[Told]) -> None:
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
