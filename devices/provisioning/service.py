"""Make and end batches, and let their devices register themselves. Audited and bounded.

Without a batch nobody can: that is how an installation begins. The key says which model a device is
and where its stock lies; the device says which one it is (IMEI, MAC address or serial number), so
that asking twice does not make two of it.
"""

import hmac
import re
import uuid
from datetime import datetime, timedelta

from devices.attempts import service as attempts
from devices.attempts.model import ENROL_BY_ADDRESS
from devices.credentials import service as credentials
from devices.credentials.rules import wants_secret
from devices.profiles import PROFILES
from devices.provisioning import store
from devices.provisioning.model import Batch, Enrolled, NewBatch
from devices.provisioning.store import Held
from devices.registry import guard, service
from devices.registry.model import Device, DeviceState
from kernel import audit
from kernel.auth.attempts import address_key
from kernel.auth.model import Actor, Permission
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx
from kernel.divisions import is_code
from kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from kernel.ids import new_id
from kernel.tokens import new_token, token_hash

PREFIX = "slp_"
"""Begins every key, so that a scanner of repositories knows one when it sees it."""

MOST_DEVICES = 10_000
LONGEST = timedelta(days=366)
# How long a device that has never been heard may ask again: its answer may have got lost.
ASK_AGAIN = timedelta(hours=24)
_BATCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_HARDWARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{3,63}")
# An id of the batch may be taken by a device that somebody registered by hand.
_MOST_TAKEN = 100


async def create(
    tx: Tx,
    *,
    batch: str,
    profile: str,
    division_code: str,
    most: int,
    lasts: timedelta,
    actor: Actor,
    now: datetime,
) -> NewBatch:
    """Make a batch; its key is seen in the answer alone.

    Raises Invalid (batch: form or taken; profile: unknown, or no_secret for a model that does not
    log in itself; division_code: outside; most: range; lasts: range).
    """
    _may_write(actor)
    fields: dict[str, str] = {}
    if not _BATCH.fullmatch(batch):
        fields["batch"] = "form"
    if profile not in PROFILES:
        fields["profile"] = "unknown"
    elif not wants_secret(profile, behind_gateway=False):
        fields["profile"] = "no_secret"
    if not is_code(division_code) or not actor.covers(division_code):
        fields["division_code"] = "outside"
    if not 1 <= most <= MOST_DEVICES:
        fields["most"] = "range"
    if not timedelta(0) < lasts <= LONGEST:
        fields["lasts"] = "range"
    if fields:
        raise Invalid("The batch cannot be made.", fields)
    key = PREFIX + new_token()
    batch_id, until = new_id(), now + lasts
    made = await store.insert(
        tx, batch_id=batch_id, batch=batch, profile=profile, division_code=division_code,
        key_hash=token_hash(key), most=most, expires_at=until, by=actor.user_id, now=now,
    )  # fmt: skip
    if not made:
        raise Invalid("There is, or was, a batch of this name.", {"batch": "taken"})
    await _record(tx, actor, "batch.created", batch, division_code, now, most=most)
    found = await store.all_batches(tx, division_code)
    return NewBatch(next(one for one in found if one.id == batch_id), key)


async def revoke(tx: Tx, batch_id: uuid.UUID, *, actor: Actor, now: datetime) -> None:
    """End a batch at once; devices that have registered stay. Raises NotFound, Conflict."""
    _may_write(actor)
    found = next((one for one in await batches(tx, actor) if one.id == batch_id), None)
    if found is None:
        raise NotFound("There is no such batch.", batch=str(batch_id))
    if not await store.revoke(tx, batch_id, actor.user_id, now):
        raise Conflict("The batch has ended already.", batch=found.batch)
    await _record(tx, actor, "batch.revoked", found.batch, found.division_code, now)


async def batches(tx: Tx, actor: Actor) -> list[Batch]:
    """Return the batches of the actor's division, newest first."""
    return await store.all_batches(tx, actor.division)


async def enrol(
    db: Database,
    cipher: FieldCipher,
    *,
    batch: str,
    key: str,
    hardware: str,
    client_ip: str,
    now: datetime,
) -> Enrolled:
    """Give a device its id and its secret.

    Asking again within a day, before it was ever heard, gives the same id and a fresh secret: the
    answer had got lost. Raises RateLimited; Unauthenticated for a wrong batch or key; Invalid
    (hardware: form); Forbidden when the batch has ended; Conflict when it is used up, or the device
    has its secret already.
    """
    party = address_key(client_ip)
    async with db.transaction() as tx:
        await attempts.check(tx, ENROL_BY_ADDRESS, party, now)
        held = await store.hold(tx, batch) if _BATCH.fullmatch(batch) else None
        expected = bytes(held.key_hash) if held else bytes(32)
        known = hmac.compare_digest(expected, token_hash(key)) and held is not None
    if not known:
        async with db.transaction() as tx:
            await attempts.count(tx, ENROL_BY_ADDRESS, party, now)
        raise Unauthenticated("There is no such batch, or the key is another's.")
    # Whoever has the right key is told what is wrong, and does not count as guessing.
    async with db.transaction() as tx:
        return await _enrol(tx, cipher, batch, hardware, now)


async def _enrol(tx: Tx, cipher: FieldCipher, batch: str, hardware: str, now: datetime) -> Enrolled:
    held = await store.hold(tx, batch)
    if held is None or held.revoked_at is not None or now >= held.expires_at:
        raise Forbidden("This batch has ended.", batch=batch)
    if not _HARDWARE.fullmatch(hardware):
        raise Invalid("`hardware` names the device: IMEI, MAC or serial.", {"hardware": "form"})
    who = Actor(None, f"batch:{held.batch}", held.batch, frozenset(), "")
    before = await store.before(tx, held.id, hardware)
    if before is not None:
        fresh = before.last_seen_at is None and now < before.at + ASK_AGAIN
        if not fresh or before.state != DeviceState.STOCK:
            raise Conflict("This device is registered already.", device_id=before.device_id)
        device = await guard.get(tx, before.device_no)
    else:
        device = await _register(tx, held, hardware, who, now)
    secret = await credentials.issue(tx, device.no, cipher=cipher, now=now)
    await guard.record(
        tx, who, "device.self_provisioned", device.id, device.division_code, now, batch=held.batch
    )
    return Enrolled(secret, device.profile, before is not None)


async def _register(tx: Tx, held: Held, hardware: str, who: Actor, now: datetime) -> Device:
    if held.used >= held.most:
        raise Conflict("All places of this batch are taken.", batch=held.batch)
    for number in range(held.used + 1, held.used + 1 + _MOST_TAKEN):
        try:
            async with tx.transaction():
                device = await service.register(
                    tx,
                    device_id=f"{held.batch}-{number:05d}",
                    profile=held.profile,
                    division_code=held.division_code,
                    serial=hardware,
                    actor=who,
                    now=now,
                )
        except Invalid as error:
            if error.fields != {"device_id": "taken"}:
                raise
            continue
        await store.add(tx, held.id, hardware, device.no, now)
        return device
    raise Conflict("The ids of this batch are taken.", batch=held.batch)


def _may_write(actor: Actor) -> None:
    if not actor.may(Permission.DEVICE_WRITE):
        permission = Permission.DEVICE_WRITE.value
        raise Forbidden("Your roles do not permit this.", permission=permission)


async def _record(
    tx: Tx, actor: Actor, action: str, batch: str, division: str, now: datetime, **detail: object
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="batch",
        subject_id=batch,
        division=division,
        detail=detail,
        now=now,
    )
