"""What other parts read of elders, without an actor: they decide who may see it and audit it."""

import uuid
from collections.abc import Sequence

from care.elders import store
from care.elders.model import ElderCard
from care.watching import store as watching
from care.watching.model import ElderThreshold
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import NotFound


async def elder_card(tx: Tx, cipher: FieldCipher, elder_id: uuid.UUID) -> ElderCard:
    """Return what somebody who handles an incident needs, in plain text. Raises NotFound."""
    elder = await store.get(tx, cipher, elder_id)
    if elder is None:
        raise NotFound("there is no such elder", elder_id=str(elder_id))
    return store.card_of(elder)


async def thresholds_for(tx: Tx, elder_ids: Sequence[uuid.UUID]) -> list[ElderThreshold]:
    """Return the elders' own limits; a metric without a row uses the defaults of detection."""
    return await watching.thresholds_of(tx, elder_ids)
