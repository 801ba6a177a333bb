"""What each use case of the registry begins and ends with: whose device, which version, the log."""

import re
from datetime import datetime

from devices.registry import inventory
from devices.registry.model import Device
from kernel import audit
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, NotFound

SUBJECT = "device"
DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LONGEST_ADDRESS = 128


async def find(tx: Tx, device_id: str, actor: Actor) -> Device:
    """Return a device of the actor's division by its id. Raises NotFound."""
    device = await inventory.by_id(tx, device_id) if DEVICE_ID.fullmatch(device_id) else None
    if device is None or not actor.covers(device.division_code):
        raise NotFound("There is no such device.", device_id=device_id)
    return device


async def mine(tx: Tx, device_no: int, actor: Actor, version: int | None = None) -> Device:
    """Return a device that the actor may change.

    Raises NotFound outside of the actor's division, Conflict when it is no longer at `version`.
    """
    device = await inventory.by_no(tx, device_no)
    if device is None or not actor.covers(device.division_code):
        raise NotFound("There is no such device.", device_no=device_no)
    if version is not None and version != device.version:
        raise changed(device)
    return device


async def get(tx: Tx, no: int) -> Device:
    """Return a device for nobody in particular. Raises NotFound."""
    device = await inventory.by_no(tx, no)
    if device is None:
        raise NotFound("There is no such device.", device_no=no)
    return device


def done(device: Device, written: bool) -> None:
    """Raise Conflict unless the change was written: somebody else had changed the row."""
    if not written:
        raise changed(device)


def changed(device: Device) -> Conflict:
    """Return what is raised for who comes too late."""
    return Conflict(
        f"Device {device.id} was changed by somebody else.",
        device_id=device.id,
        state=device.state.value,
        version=device.version,
    )


async def record(
    tx: Tx,
    actor: Actor,
    action: str,
    device_id: str,
    division: str,
    now: datetime,
    **detail: object,
) -> None:
    """Write to the audit log; `detail` has codes and ids, never what may speak of a person."""
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type=SUBJECT,
        subject_id=device_id,
        division=division,
        detail=detail,
        now=now,
    )
