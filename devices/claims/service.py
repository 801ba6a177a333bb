"""Print codes, look one up, claim a device with it. All is in the audit log, without the code.

A code speaks for the device alone: whom it may be given to is judged by who gives it. So a device
of the city's stock can be claimed by somebody of one of its districts, for an elder there.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from devices.attempts import service as attempts
from devices.attempts.model import CLAIM_BY_PERSON
from devices.claims import rules, store
from devices.claims.model import PrintedCode
from devices.registry import guard, inventory, service
from devices.registry.model import Device, DeviceState
from kernel.auth.model import Actor, Permission
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx
from kernel.divisions import significant_prefix
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from kernel.ids import new_id

MOST_LABELS = 240
LONGEST = timedelta(days=3 * 366)
PURPOSE = "device_claim"


async def print_codes(
    tx: Tx,
    cipher: FieldCipher,
    device_ids: Sequence[str],
    *,
    lasts: timedelta | None,
    actor: Actor,
    now: datetime,
) -> list[PrintedCode]:
    """Give devices in stock a fresh code each, in the order given; labels printed before end.

    `lasts` None: until claimed. Raises NotFound, Invalid (devices: required, too_many or
    not_in_stock; lasts: range).
    """
    wanted = list(dict.fromkeys(device_ids))
    if not wanted or len(wanted) > MOST_LABELS:
        what = "too_many" if wanted else "required"
        raise Invalid(f"Choose 1 to {MOST_LABELS} devices.", {"devices": what})
    if lasts is not None and not timedelta(0) < lasts <= LONGEST:
        raise Invalid("A code cannot last that long.", {"lasts": "range"})
    devices = [await guard.find(tx, device_id, actor) for device_id in wanted]
    if away := [one.id for one in devices if one.state is not DeviceState.STOCK]:
        raise Invalid(f"{away[0]} is not in stock.", {"devices": "not_in_stock"}, device_id=away[0])
    expires_at = now + lasts if lasts else None
    printed = [PrintedCode(device, rules.new_code(), expires_at) for device in devices]
    codes = [(new_id(), one.device.no, _index(cipher, one.code)) for one in printed]
    await store.replace(tx, codes, expires_at=expires_at, by=actor.user_id, now=now)
    until = expires_at.isoformat() if expires_at else ""
    for one in printed:
        await guard.record(
            tx, actor, "device.code_printed", one.device.id, one.device.division_code, now,
            until=until,
        )  # fmt: skip
    return printed


async def look_up(
    db: Database, cipher: FieldCipher, text: str, *, actor: Actor, now: datetime
) -> Device:
    """Return the device of a code that can be claimed now.

    Raises RateLimited after too many wrong ones, Invalid (code: required, unknown, expired or
    used), and Conflict when the device is not in stock any more.
    """
    _may_claim(actor)
    if not text.strip():
        raise Invalid("Enter the code.", {"code": "required"})
    async with db.transaction() as tx:
        attempt = await attempts.take_place(tx, CLAIM_BY_PERSON, _party(actor), now)
    # The place is taken before the code is looked at: a failure below cannot undo it.
    async with db.transaction() as tx:
        device = await _claimable(tx, cipher, text, actor, now)
        await attempts.forgive(tx, attempt)
    return device


async def claim(
    db: Database,
    cipher: FieldCipher,
    text: str,
    elder_id: uuid.UUID,
    room: str,
    *,
    actor: Actor,
    now: datetime,
) -> Device:
    """Use the code up and bind the device. Raises what `look_up` and `bind` raise."""
    await look_up(db, cipher, text, actor=actor, now=now)
    async with db.transaction() as tx:
        device = await _claimable(tx, cipher, text, actor, now)
        division = await inventory.elder_division(tx, elder_id)
        if division is None or not actor.covers(division):
            raise NotFound("There is no such elder.", elder_id=str(elder_id))
        if not await store.use(tx, _index(cipher, rules.read(text) or ""), actor.user_id, now):
            raise Invalid("The code has just been used.", {"code": "used"})
        # The code is the right to this one device, wherever its stock lies.
        holder = replace(actor, division="")
        bound = await service.bind(
            tx, device.no, elder_id, room, actor=holder, now=now, version=device.version
        )
        await guard.record(tx, actor, "device.claimed", device.id, division, now)
    return bound


async def _claimable(tx: Tx, cipher: FieldCipher, text: str, actor: Actor, now: datetime) -> Device:
    code = rules.read(text)
    found = await store.find(tx, _index(cipher, code)) if code else None
    if found is None or found.ended_at is not None:
        raise Invalid("There is no such code.", {"code": "unknown"})
    if found.claimed_at is not None:
        raise Invalid("The code has been used.", {"code": "used"})
    if not found.usable(now):
        raise Invalid("The code has expired.", {"code": "expired"})
    device = await guard.get(tx, found.device_no)
    stock = significant_prefix(device.division_code)
    if not (actor.covers(device.division_code) or actor.division.startswith(stock)):
        raise Invalid("There is no such code.", {"code": "unknown"})
    if device.state is not DeviceState.STOCK:
        raise Conflict("The device is not in stock.", device_id=device.id, state=device.state.value)
    return device


def _may_claim(actor: Actor) -> None:
    if not actor.may(Permission.DEVICE_CLAIM):
        permission = Permission.DEVICE_CLAIM.value
        raise Forbidden("Your roles do not permit this.", permission=permission)


def _party(actor: Actor) -> str:
    return str(actor.user_id or actor.username)


def _index(cipher: FieldCipher, code: str) -> bytes:
    return cipher.blind_index(PURPOSE, code)
