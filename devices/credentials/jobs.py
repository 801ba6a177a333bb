"""The outbox handler that carries credentials to a broker with a list of its own."""

import base64
from collections.abc import Sequence

from devices.credentials import store
from devices.credentials.dynsec import (
    DynamicSecurity,
    cut_commands,
    grant_commands,
    revoke_commands,
)
from devices.credentials.service import ACCESS_TOPIC, PURPOSE
from devices.profiles import PROFILES
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.outbox import Handler, OutboxItem
from kernel.tokens import token_hash


def outbox_handlers(
    db: Database, cipher: FieldCipher, broker: DynamicSecurity | None
) -> dict[str, Handler]:
    """Return the handler; `broker` is None where the broker asks our registry itself."""

    async def access(item: OutboxItem) -> None:
        if broker is None:
            return
        device_id = str(item.payload["device_id"])
        async with db.connection() as conn:
            live = await store.latest_access(conn, device_id)
            certified = await store.certified_profile(conn, device_id)
        box = item.payload["secret"]
        password = cipher.decrypt(PURPOSE, base64.b64decode(box)) if box else None
        # Items may be handled out of order: only what is live now counts, whatever they say.
        if live is not None:
            if password is not None and bytes(live.secret_hash) == token_hash(password):
                await broker.send(
                    grant_commands(device_id, password, _base(live.profile, device_id))
                )
            elif item.payload.get("cut"):
                await broker.send(cut_commands(device_id))
            return
        if certified is None:
            await broker.send(revoke_commands(device_id))
        else:
            await broker.send(grant_commands(device_id, None, _base(certified, device_id)))

    return {ACCESS_TOPIC: access}


def _base(profile: str, device_id: str) -> Sequence[str]:
    model = PROFILES.get(profile)
    return model.bridge_topics(device_id) if model else ()
