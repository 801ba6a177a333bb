"""A technician's world for the pages: elders, devices in every state, readings, alarms."""

import uuid
from datetime import datetime, timedelta

from care.elders.demo import SeededElder, seed_elders
from devices.metrics import METRICS
from devices.registry import access, service
from devices.registry.machine import DeviceAction
from devices.registry.model import Device
from ingest.telemetry.model import ReadingRow
from ingest.telemetry.store import upsert_latest
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.ids import new_id
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device

LONG_ID = "SL-PENDANT-2026-NMG-HHHT-XINCHENG-000193-0000000000000000000X"


async def furnish(tx: Tx, cipher: FieldCipher, actor: Actor, now: datetime) -> list[SeededElder]:
    """Six devices: a watch in full life, one of a long name, sensors, a gateway, a retired one."""
    elders = await seed_elders(tx, cipher, 24, now, 7)
    begin = now - timedelta(days=40)
    hub = await add_device(tx, actor, begin, "H-0007", profile="sl-gateway-1", division=XINCHENG)
    await service.bind(tx, hub.no, elders[0].id, "客厅", actor=actor, now=begin)
    door = await add_device(
        tx, actor, begin, "D-0021", profile="sl-door-1", gateway_id="H-0007", division=XINCHENG
    )
    await service.bind(tx, door.no, elders[0].id, "大门", actor=actor, now=begin)
    watch = await living_watch(tx, cipher, actor, elders, now)
    await add_device(tx, actor, begin, LONG_ID, profile="sl-pendant-1", division=YUQUAN)
    broken = await add_device(
        tx, actor, begin, "S-0003", profile="sl-smoke-1", serial="SN-20260003"
    )
    await service.change_state(
        tx, broken.no, DeviceAction.MARK_FAULTY, "no_signal", note="搬家后一直没有信号",
        actor=actor, now=now - timedelta(days=2),
    )  # fmt: skip
    gone = await add_device(
        tx, actor, begin, "4G-0001", profile="setracker-4g", address="8800000015"
    )
    await service.change_state(
        tx, gone.no, DeviceAction.RETIRE, "worn_out", actor=actor, now=now - timedelta(days=1)
    )
    heard = (
        "UPDATE device SET online = %s, last_seen_at = %s, battery_percent = %s, firmware = %s"
        " WHERE no = %s"
    )
    await tx.execute(heard, (True, now - timedelta(minutes=1), None, "2.0.1", hub.no))
    await tx.execute(heard, (False, now - timedelta(hours=30), 9, "1.0.0", door.no))
    await tx.execute(heard, (True, now - timedelta(minutes=3), 87, "1.4.2", watch.no))
    await alarms(tx, watch, elders[1].id, now)
    return elders


async def living_watch(
    tx: Tx, cipher: FieldCipher, actor: Actor, elders: list[SeededElder], now: datetime
) -> Device:
    """Bind a watch to one elder, then to another, with a secret, a fix and readings."""
    watch = await add_device(tx, actor, now - timedelta(days=40), "W-0193", serial="SN-4711")
    await access.issue_credential(
        tx, watch.no, replaces=None, cipher=cipher, actor=actor, now=now - timedelta(days=40)
    )
    await service.bind(
        tx, watch.no, elders[2].id, "随身佩戴", actor=actor, now=now - timedelta(days=39)
    )
    watch = await service.bind(
        tx, watch.no, elders[1].id, "随身佩戴", actor=actor, now=now - timedelta(days=12)
    )
    await tx.execute(
        "UPDATE device SET lat = %s, lon = %s, position_accuracy_m = 35, position_at = %s"
        " WHERE no = %s",
        (
            (elders[1].lat or 40.85) + 0.003, (elders[1].lon or 111.7) + 0.002,
            now - timedelta(minutes=3), watch.no,
        ),
    )  # fmt: skip
    values = {"heart_rate": 72, "spo2": 96, "bp_systolic": 131, "bp_diastolic": 79, "steps": 3042,
              "battery": 87}  # fmt: skip
    rows = [
        ReadingRow(now - timedelta(minutes=3 + n), watch.no, METRICS[code].id, float(value))
        for n, (code, value) in enumerate(values.items())
    ]
    # The elder before had a fever: that is nobody's business now.
    old = ReadingRow(now - timedelta(days=20), watch.no, METRICS["body_temperature"].id, 39.4)
    await upsert_latest(tx, [*rows, old])
    return watch


async def alarms(tx: Tx, device: Device, elder_id: uuid.UUID, now: datetime) -> None:
    """Three alarms: one opened an incident, one was held back, one was a test."""
    for hours, kind, severity, suppressed, test in (
        (2, "fall", "critical", None, False),
        (50, "low_battery", "technical", "device_paused", False),
        (90, "sos", "critical", None, True),
    ):
        at = now - timedelta(hours=hours)
        alarm_id = new_id()
        await tx.execute(
            "INSERT INTO alarm (id, device_no, elder_id, kind, severity, source, received_at,"
            " suppressed, test) VALUES (%s, %s, %s, %s, %s, 'device', %s, %s, %s)",
            (alarm_id, device.no, elder_id, kind, severity, at, suppressed, test),
        )
        if suppressed is None and not test:
            await incident(tx, device, elder_id, alarm_id, at)


async def incident(
    tx: Tx, device: Device, elder_id: uuid.UUID, alarm_id: uuid.UUID, at: datetime
) -> None:
    """Open an incident of an alarm."""
    incident_id = new_id()
    await tx.execute(
        "INSERT INTO incident (id, elder_id, device_no, kind, severity, status, division_code,"
        " opened_at, last_activation_at, escalation_policy)"
        " VALUES (%s, %s, %s, 'fall', 'critical', 'open', %s, %s, %s, '{}')",
        (incident_id, elder_id, device.no, XINCHENG, at, at),
    )
    await tx.execute(
        "INSERT INTO incident_activation (id, incident_id, alarm_id, at, device_no)"
        " VALUES (%s, %s, %s, %s, %s)",
        (new_id(), incident_id, alarm_id, at, device.no),
    )
