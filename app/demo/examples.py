"""What a fleet meets sooner or later, an example of each, so that its pages show something.

A device that fell silent, a gateway with its sub-devices, an installation whose devices were found,
modes, something for the technicians to see to, and a firmware that is being rolled out. All of it
goes the way of the real thing: the use cases that technicians have, and frames, dated back, through
the pipeline of ingest.
"""

import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.demo.fleet import PlannedDevice
from app.wiring import condition_cleared, react_to_alarm
from care.elders.demo import SeededElder
from devices.alarms import AlarmKind
from devices.codecs import codec_for_topic
from devices.credentials import service as credentials
from devices.discovery import service as discovery
from devices.firmware import service as firmware
from devices.firmware.shelf import Shelf
from devices.messages import Frame
from devices.modes import service as modes
from devices.modes.model import DeviceMode
from devices.registry import inventory
from devices.registry import service as registry
from devices.technical import service as technical
from devices.technical.machine import TechnicalAction
from devices.technical.model import TechnicalFilters
from ingest.detection.jobs import sweep_offline
from ingest.identity import Arrival
from ingest.pipeline import Pipeline
from ingest.raising import Raiser
from ingest.registry_cache import RegistryCache
from ingest.telemetry.modes import make_room
from ingest.work import Delivery
from kernel.auth.model import SYSTEM, Actor
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx

SILENT, GATEWAY, INSTALLATION = "P-9001", "H-9001", "HA-9001"
NEW_FIRMWARE = ("sl-watch-1", "1.5.0")
_MOUNTED = timedelta(days=30)
_HEARD = timedelta(days=29)
_SILENT_FOR = timedelta(days=3)
_BEHIND_GATEWAY = (
    ("-D", "door", "sl-door-1", "入户门"),
    ("-M", "motion", "sl-motion-1", "客厅"),
    ("-S", "smoke", "sl-smoke-1", "厨房"),
)
# (component, object, name, model, what it announces) as Home Assistant's MQTT discovery has it.
_Announced = tuple[str, str, str, str, Mapping[str, str]]
_FOUND: tuple[_Announced, ...] = (
    ("binary_sensor", "kitchen", "厨房烟雾报警器", "JTYJ-GD-01LM/BW",
     {"device_class": "smoke", "payload_on": "ON", "payload_off": "OFF"}),
    ("binary_sensor", "washroom", "卫生间水浸传感器", "SJCGQ11LM",
     {"device_class": "moisture", "payload_on": "ON", "payload_off": "OFF"}),
    ("sensor", "bedroom", "卧室温湿度计", "WSDCGQ11LM",
     {"device_class": "temperature", "unit_of_measurement": "°C"}),
)  # fmt: skip
_MODES: tuple[tuple[str, DeviceMode, timedelta, str], ...] = (
    ("pendant", DeviceMode.TEST, timedelta(hours=8), "月度巡检，正在试按"),
    ("door", DeviceMode.AWAY, timedelta(days=12), "去包头女儿家小住，约两周后回来"),
    ("motion", DeviceMode.MAINTENANCE, timedelta(days=2), "等待更换电池"),
)


async def seed_examples(
    db: Database,
    cipher: FieldCipher,
    data_dir: Path,
    homes: Sequence[SeededElder],
    planned: Sequence[PlannedDevice],
    technician: Actor,
    now: datetime,
) -> list[dict[str, object]]:
    """Set the examples up in three homes; return those devices that are simulated from now on."""
    alone, served, smart = homes
    past = _Past(db)
    async with db.transaction() as tx:
        mounted, bridged = now - _MOUNTED, now - timedelta(days=2)
        entries = await _gateway(tx, cipher, served, technician, mounted)
        for device_id, profile, home, room, at in (
            (SILENT, "sl-pendant-1", alone, "", mounted),
            (INSTALLATION, "ha-installation", smart, "书房", bridged),
        ):
            no = await _installed(tx, device_id, profile, home, room, technician, at)
            await credentials.issue(tx, no, cipher=cipher, now=at)
    await _falls_silent(db, past, now)
    await _is_opened(db, past, technician, now)
    await _announces(db, past, smart, technician, now)
    async with db.transaction() as tx:
        for kind, mode, length, reason in _MODES:
            device = await inventory.by_id(tx, _last(planned, kind))
            if device is not None:
                await modes.start(
                    tx, device.no, mode, until=now + length, reason=reason, actor=technician,
                    now=now,
                )  # fmt: skip
        await _rolled_out(tx, data_dir, planned, technician, now)
    return entries


class _Past:
    """Takes frames of other days through the pipeline, each at its own time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pipeline = Pipeline(db, RegistryCache(db), react_to_alarm, condition_cleared)
        self._number = 0

    async def said(self, at: datetime, topic: str, word: str = "", **fields: Any) -> None:
        """A frame came in: a word, or JSON; `seq` and `t` are added for our own protocol."""
        self._number += 1
        if topic.startswith("silverline/"):
            stamp = {"seq": self._number, "sid": "examples", "t": int(at.timestamp() * 1000)}
            inner = fields.get("batch")
            fields = {"batch": [stamp | each for each in inner]} if inner else stamp | fields
        payload = word or json.dumps(fields)
        frame = Frame(payload.encode(), topic, received_at=at)
        arrival = Arrival(at, self._number % 60_000 + 1)
        delivery = Delivery(frame, "mqtt", codec_for_topic(topic), arrival, lambda _: None)
        await make_room(self._db, at, at + timedelta(minutes=1))
        [work] = await self._pipeline.prepare([delivery])
        if work.urgent:
            await self._pipeline.store_alarms(work, at)
        await self._pipeline.store([work], at)
        await self._pipeline.latest.flush(self._db)


async def _installed(
    tx: Tx,
    device_id: str,
    profile: str,
    home: SeededElder,
    room: str,
    technician: Actor,
    at: datetime,
    gateway: str | None = None,
) -> int:
    device = await registry.register(
        tx, device_id=device_id, profile=profile, division_code=home.division_code,
        gateway_id=gateway, actor=technician, now=at,
    )  # fmt: skip
    await registry.bind(tx, device.no, home.id, room, actor=technician, now=at)
    return device.no


async def _gateway(
    tx: Tx, cipher: FieldCipher, home: SeededElder, technician: Actor, at: datetime
) -> list[dict[str, object]]:
    """A gateway with three sensors behind it, as the simulator will speak for them."""
    no = await _installed(tx, GATEWAY, "sl-gateway-1", home, "客厅", technician, at)
    secret = await credentials.issue(tx, no, cipher=cipher, now=at)
    place = {"lat": home.lat, "lon": home.lon}
    entries: list[dict[str, object]] = [
        {"device_id": GATEWAY, "username": secret.username, "password": secret.password,
         "profile": "sl-gateway-1", "type": "gateway", **place},
    ]  # fmt: skip
    for suffix, kind, profile, room in _BEHIND_GATEWAY:
        device_id = GATEWAY + suffix
        await _installed(tx, device_id, profile, home, room, technician, at, GATEWAY)
        entries.append(
            {"device_id": device_id, "gateway": GATEWAY, "profile": profile, "type": kind, **place}
        )
    return entries


async def _falls_silent(db: Database, past: _Past, now: datetime) -> None:
    """A pendant whose battery ran low, and which nobody has heard since."""
    last = now - _SILENT_FOR
    topic = f"silverline/v1/{SILENT}/status"
    for at, battery in ((now - _HEARD, 71), (last - timedelta(hours=9), 19), (last, 4)):
        await past.said(at, topic, online=True, battery=battery, firmware="1.2.0", rssi=-88)
    await sweep_offline(db, Raiser(react_to_alarm, condition_cleared), last + timedelta(hours=4))


async def _is_opened(db: Database, past: _Past, technician: Actor, now: datetime) -> None:
    """Somebody opened the smoke alarm behind the gateway; the technician knows of it."""
    at, topic = now - timedelta(hours=5), f"silverline/v1/{GATEWAY}"
    behind = [GATEWAY + suffix for suffix, *_ in _BEHIND_GATEWAY]
    there = [{"device": one, "online": True, "battery": 90} for one in behind]
    own = {"online": True, "firmware": "1.4.2", "rssi": -61}
    await past.said(now - _HEARD, f"{topic}/status", batch=[own, *there])
    opened = {"device": GATEWAY + "-S", "alarm": "tamper", "active": True, "detail": "housing"}
    await past.said(at, f"{topic}/alarm", batch=[opened])
    # Nobody is to take the gateway for silent before it is simulated.
    await past.said(now - timedelta(minutes=1), f"{topic}/status", batch=[own, *there])
    async with db.transaction() as tx:
        filters = TechnicalFilters(kind=AlarmKind.TAMPER.value)
        for alarm in await technical.listed(tx, technician, filters):
            await technical.act(
                tx, alarm.id, TechnicalAction.ACKNOWLEDGE, version=alarm.version, actor=technician,
                now=at + timedelta(minutes=40), note="家属换电池时打开外壳，明日上门复查",
            )  # fmt: skip


async def _announces(
    db: Database, past: _Past, home: SeededElder, technician: Actor, now: datetime
) -> None:
    """A family's own Home Assistant tells of three devices, one of which was adopted."""
    at, told_at = now - timedelta(days=1, hours=3), now - timedelta(minutes=20)
    await _tells_of(past, _FOUND, at)
    async with db.transaction() as tx:
        adopted = await discovery.adopt(
            tx, INSTALLATION, "zha_kitchen", device_id=f"{INSTALLATION}-kitchen",
            profile="ha-smoke", actor=technician, now=at + timedelta(hours=1),
        )  # fmt: skip
        await registry.bind(
            tx, adopted.no, home.id, "厨房", actor=technician, now=at + timedelta(hours=1)
        )
    await discovery.refresh(db)
    await _tells_of(past, _FOUND[:1], told_at)
    await past.said(told_at, f"ha/{INSTALLATION}/zha/kitchen", "OFF")


async def _tells_of(past: _Past, found: Sequence[_Announced], at: datetime) -> None:
    for component, place, name, model, told in found:
        device = {"identifiers": [f"zha_{place}"], "name": name, "manufacturer": "Aqara",
                  "model": model}  # fmt: skip
        await past.said(
            at, f"ha/{INSTALLATION}/homeassistant/{component}/{place}/config", device=device,
            state_topic=f"zha/{place}", unique_id=f"zha_{place}", **told,
        )  # fmt: skip


async def _rolled_out(
    tx: Tx, data_dir: Path, planned: Sequence[PlannedDevice], technician: Actor, now: datetime
) -> None:
    """A new firmware of the watches begins with two of them; the simulated ones really fetch it."""
    profile, version = NEW_FIRMWARE
    image = f"demonstration firmware {profile} {version}\n".encode() * 4_000
    stored = Shelf(data_dir / "firmware").put(io.BytesIO(image))
    package = await firmware.add_package(
        tx, stored, profile=profile, version=version, file_name=f"{profile}-{version}.bin",
        notes="夜间跌倒误报减少；弱信号时省电。", actor=SYSTEM, now=now - timedelta(days=2),
    )  # fmt: skip
    watches = [one.device_id for one in planned if one.profile == profile]
    await firmware.start_rollout(
        tx, package.id, division="1501", steps="10, 50, 100", canaries=watches[:2],
        soak_minutes=30, failure_percent=10, actor=technician, now=now,
    )  # fmt: skip


def in_test(planned: Sequence[PlannedDevice]) -> set[str]:
    """The simulated devices whose alarms are tests."""
    return {_last(planned, kind) for kind, mode, *_ in _MODES if mode is DeviceMode.TEST}


def _last(planned: Sequence[PlannedDevice], kind: str) -> str:
    return [one.device_id for one in planned if one.type == kind][-1]
