"""How a device gets in: the secret that it logs in with and the names that it has in protocols."""

import uuid
from datetime import datetime

from devices.codecs import CODECS
from devices.credentials import service as credentials
from devices.credentials import store as credential_store
from devices.credentials.model import CredentialRow, Secret
from devices.profiles import PROFILES
from devices.registry import guard, history_store
from devices.registry.model import DeviceState
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound


async def issue_credential(
    tx: Tx,
    device_no: int,
    *,
    replaces: uuid.UUID | None,
    cipher: FieldCipher,
    actor: Actor,
    now: datetime,
) -> Secret:
    """Give the device a secret; the older one ends at once. The answer is the only time it is seen.

    `replaces` is the live credential that the person saw, None for none: of two people who rotate
    at once, the second must not end a secret that the first is just typing into the device. Raises
    NotFound, and Conflict for a retired device and when another credential is live.
    """
    device = await guard.mine(tx, device_no, actor)
    if device.state is DeviceState.RETIRED:
        raise Conflict("A retired device gets no credential.", state=device.state.value)
    await credential_store.device_id_of(tx, device_no)
    await _same_live(tx, device_no, replaces)
    secret = await credentials.issue(
        tx, device_no, cipher=cipher, now=now, created_by=actor.user_id
    )
    action = "device.credential_rotated" if replaces else "device.credential_issued"
    await guard.record(tx, actor, action, device.id, device.division_code, now)
    return secret


async def revoke_credential(
    tx: Tx, device_no: int, *, revokes: uuid.UUID, actor: Actor, now: datetime
) -> None:
    """End the live credential; brokers drop the connection. Raises NotFound and Conflict."""
    device = await guard.mine(tx, device_no, actor)
    await credential_store.device_id_of(tx, device_no)
    await _same_live(tx, device_no, revokes)
    await credentials.revoke(tx, device_no, now=now)
    await guard.record(tx, actor, "device.credential_revoked", device.id, device.division_code, now)


async def credential_history(tx: Tx, device_no: int) -> list[CredentialRow]:
    """Return the device's credentials, newest first; the live one has no `revoked_at`."""
    return await credential_store.history(tx, device_no)


async def _same_live(tx: Tx, device_no: int, seen: uuid.UUID | None) -> None:
    # The device's row is locked by now: nobody issues another one in between.
    live = await credential_store.live_id(tx, device_no)
    if live != seen:
        raise Conflict("Somebody else has just changed the credential.", device_no=device_no)


async def add_alias(
    tx: Tx, device_no: int, codec: str, address: str, *, actor: Actor, now: datetime
) -> None:
    """Let the device be known by another name in a protocol.

    Raises NotFound, and Invalid (codec: unknown; address: required, too_long, form or taken).
    """
    device = await guard.mine(tx, device_no, actor)
    address = address.strip()
    if fields := wrong_alias(codec, address):
        raise Invalid("A name in a protocol is needed.", fields)
    if not await history_store.add_alias(tx, codec, address, device_no):
        raise Invalid(f"The address {address} belongs to another device.", {"address": "taken"})
    await guard.record(
        tx, actor, "device.alias_added", device.id, device.division_code, now,
        codec=codec, address=address,
    )  # fmt: skip


def wrong_alias(codec: str, address: str) -> dict[str, str]:
    """Return what is wrong with a name: code by field."""
    fields: dict[str, str] = {}
    if codec not in CODECS:
        fields["codec"] = "unknown"
    if not address:
        fields["address"] = "required"
    elif len(address) > guard.LONGEST_ADDRESS:
        fields["address"] = "too_long"
    elif not address.isprintable():
        fields["address"] = "form"
    return fields


def naming_codec(profile: str, gateway_profile: str | None) -> str:
    """The protocol in which a device's name counts: its bridge's, if one speaks for it.

    A LoRaWAN sensor is the same behind ChirpStack and The Things Stack; its name is the server's.
    """
    bridge = PROFILES.get(gateway_profile or "")
    if bridge is not None and bridge.base_topics:
        return bridge.codec
    return PROFILES[profile].codec


async def remove_alias(
    tx: Tx, device_no: int, codec: str, address: str, *, actor: Actor, now: datetime
) -> None:
    """Take a name from the device. Raises NotFound when it has no such name."""
    device = await guard.mine(tx, device_no, actor)
    if not await history_store.remove_alias(tx, codec, address, device_no):
        raise NotFound("The device has no such name.", address=address)
    await guard.record(
        tx, actor, "device.alias_removed", device.id, device.division_code, now,
        codec=codec, address=address,
    )  # fmt: skip
