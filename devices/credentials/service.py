"""Issue, rotate, revoke and check the credentials of devices."""

import hashlib
import hmac
import secrets
import uuid
from datetime import datetime

from devices.credentials import store
from devices.credentials.model import Grant, Secret
from devices.profiles import PROFILES
from kernel.db import Tx
from kernel.errors import NotFound
from kernel.ids import new_id

SECRET_BYTES = 24


def hash_secret(password: str) -> bytes:
    """Return the SHA-256 that is kept. The secret has 192 random bits: no slow hash is needed."""
    return hashlib.sha256(password.encode()).digest()


async def issue(
    tx: Tx, device_no: int, *, now: datetime, created_by: uuid.UUID | None = None
) -> Secret:
    """Give the device a fresh credential; an older one ends at once (rotation).

    Raises NotFound when there is no such device or it is retired.
    """
    device_id = await store.device_id_of(tx, device_no)
    if device_id is None:
        raise NotFound("There is no such device in service.", device_no=device_no)
    await store.revoke(tx, device_no, now)
    password = secrets.token_urlsafe(SECRET_BYTES)
    await store.insert(tx, new_id(), device_no, device_id, hash_secret(password), now, created_by)
    return Secret(device_id, device_id, password)


async def revoke(tx: Tx, device_no: int, *, now: datetime) -> bool:
    """End the device's credential; brokers drop its connection. False when there was none."""
    return await store.revoke(tx, device_no, now) > 0


async def authenticate(tx: Tx, username: str, password: str) -> Grant | None:
    """Return what the holder may do, or None when name or secret is wrong or out of service."""
    found = await store.live_credential(tx, username)
    expected = bytes(found.secret_hash) if found else bytes(32)
    # Compared in any case, so that an unknown name takes as long as a wrong secret.
    if not hmac.compare_digest(expected, hash_secret(password)) or found is None:
        return None
    if found.state == "retired":
        return None
    profile = PROFILES.get(found.profile)
    base = profile.base_topics if profile else ()
    return Grant(found.device_no, found.device_id, base)
