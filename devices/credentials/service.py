"""Issue, rotate, revoke and check the credentials of devices."""

import base64
import hmac
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime

from devices.credentials import store
from devices.credentials.model import Grant, Secret
from devices.profiles import PROFILES
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import NotFound
from kernel.ids import new_id
from kernel.outbox import enqueue
from kernel.tokens import token_hash

SECRET_BYTES = 24
# A broker with a list of its own is told by the worker (devices/credentials/jobs.py).
ACCESS_TOPIC = "mqtt.access"
PURPOSE = "device_secret"


def _new_password() -> str:
    """Text without a sign in front: a table of secrets would have to guard that one from Excel."""
    while not (password := secrets.token_urlsafe(SECRET_BYTES))[0].isalnum():
        pass
    return password


async def issue(
    tx: Tx,
    device_no: int,
    *,
    cipher: FieldCipher,
    now: datetime,
    created_by: uuid.UUID | None = None,
) -> Secret:
    """Give the device a fresh credential; an older one ends at once (rotation).

    Raises NotFound when there is no such device or it is retired.
    """
    device_id = await store.device_id_of(tx, device_no)
    if device_id is None:
        raise NotFound("There is no such device in service.", device_no=device_no)
    await store.revoke(tx, device_no, now)
    password = _new_password()
    await store.insert(tx, new_id(), device_no, device_id, token_hash(password), now, created_by)
    box = base64.b64encode(cipher.encrypt(PURPOSE, password)).decode()
    await enqueue(tx, ACCESS_TOPIC, {"device_id": device_id, "secret": box})
    return Secret(device_id, device_id, password)


async def issue_many(
    tx: Tx,
    devices: Sequence[tuple[int, str]],
    *,
    cipher: FieldCipher,
    now: datetime,
    created_by: uuid.UUID | None = None,
) -> list[Secret]:
    """Give devices (number, id) that have never had a credential one each, in few statements."""
    made = [Secret(name, name, _new_password()) for _, name in devices]
    rows = [
        (new_id(), no, one.username, token_hash(one.password))
        for (no, _), one in zip(devices, made, strict=True)
    ]
    await store.insert_many(tx, rows, now, created_by)
    for one in made:
        box = base64.b64encode(cipher.encrypt(PURPOSE, one.password)).decode()
        await enqueue(tx, ACCESS_TOPIC, {"device_id": one.device_id, "secret": box})
    return made


async def revoke(tx: Tx, device_no: int, *, now: datetime) -> bool:
    """End the device's credential; brokers drop its connection. False when there was none."""
    device_id = await store.device_id_of(tx, device_no)
    ended = await store.revoke(tx, device_no, now) > 0
    if ended and device_id is not None:
        await enqueue(tx, ACCESS_TOPIC, {"device_id": device_id, "secret": None})
    return ended


async def authenticate(tx: Tx, username: str, password: str) -> Grant | None:
    """Return what the holder may do, or None when name or secret is wrong or out of service."""
    found = await store.live_credential(tx, username)
    expected = bytes(found.secret_hash) if found else bytes(32)
    # Compared in any case, so that an unknown name takes as long as a wrong secret.
    if not hmac.compare_digest(expected, token_hash(password)) or found is None:
        return None
    if found.state == "retired":
        return None
    profile = PROFILES.get(found.profile)
    base = profile.bridge_topics(found.device_id) if profile else ()
    return Grant(found.device_no, found.device_id, base)
