"""Handlers of the outbox topics `carrier.call` and `carrier.text`.

The provider is called with no transaction open. A handler may run twice: the reference makes the
second one the same call.
"""

import uuid
from dataclasses import dataclass, replace

from hotline.contacts import store, texts
from hotline.contacts.machine import FINAL
from hotline.contacts.model import BODY, PHONE, Attempt, AttemptStatus, Purpose
from hotline.contacts.outgoing import CALL_TOPIC, TEXT_TOPIC
from hotline.contacts.service import attempt_progress
from hotline.dispatch.store import facts_of
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.outbox import Handler, OutboxItem, PermanentFailure
from kernel.ports import Carrier, CarrierError, OutgoingCall, OutgoingText

# Who can do something with the keys; the others are connected to the operator.
_GATHER = frozenset({Purpose.CHAIN, Purpose.DUTY, Purpose.DISPATCH})


@dataclass(frozen=True, slots=True)
class _Ready:
    attempt: Attempt
    facts: texts.Facts


class Sender:
    """Hands calls and texts to the carrier."""

    def __init__(self, db: Database, cipher: FieldCipher, carrier: Carrier) -> None:
        self._db = db
        self._cipher = cipher
        self._carrier = carrier

    async def call(self, item: OutboxItem) -> None:
        """Place the call of an outbox item."""
        ready = await self._load(item)
        if ready is None:
            return
        attempt = ready.attempt
        call = OutgoingCall(
            reference=str(attempt.id),
            to=self._cipher.decrypt(PHONE, attempt.to_enc),
            say=texts.spoken(attempt.purpose, ready.facts),
            gather=attempt.purpose in _GATHER,
        )
        try:
            carrier_id = await self._carrier.place_call(call)
        except CarrierError as error:
            await self._refused(attempt, error)
        else:
            async with self._db.transaction() as tx:
                await store.save_carrier_id(tx, attempt.id, carrier_id)

    async def text(self, item: OutboxItem) -> None:
        """Send the text of an outbox item."""
        ready = await self._load(item)
        if ready is None:
            return
        attempt = ready.attempt
        if attempt.body_enc is not None:
            body = self._cipher.decrypt(BODY, attempt.body_enc)
        elif attempt.purpose is Purpose.DISPATCH:
            # The dispatch was over before its text went out: the link in it is dead.
            await self._report(attempt, AttemptStatus.FAILED, "withdrawn before it was sent")
            return
        else:
            body = texts.written(attempt.purpose, ready.facts)
        to = self._cipher.decrypt(PHONE, attempt.to_enc)
        try:
            carrier_id = await self._carrier.send_text(OutgoingText(str(attempt.id), to, body))
        except CarrierError as error:
            await self._refused(attempt, error)
            return
        async with self._db.transaction() as tx:
            await store.save_carrier_id(tx, attempt.id, carrier_id)
        await self._report(attempt, AttemptStatus.SENT, None)

    async def _load(self, item: OutboxItem) -> _Ready | None:
        attempt_id = uuid.UUID(item.payload["attempt"])
        async with self._db.connection() as conn:
            attempt = await store.get(conn, attempt_id)
            if attempt is None or attempt.incident_id is None:
                raise PermanentFailure("there is no such attempt")
            facts = await facts_of(conn, attempt.incident_id)
            if facts is not None and attempt.purpose is Purpose.DUTY:
                others = await store.unclaimed_besides(
                    conn, attempt.incident_id, attempt.duty_phone_id
                )
                facts = replace(facts, others=others)
        if facts is None:
            raise PermanentFailure("there is no such incident")
        # Given up in the meantime (the next contact is being called): too late is not better.
        return None if attempt.status in FINAL else _Ready(attempt, facts)

    async def _refused(self, attempt: Attempt, error: CarrierError) -> None:
        if not error.permanent:
            raise error
        await self._report(attempt, AttemptStatus.FAILED, str(error)[:500])

    async def _report(self, attempt: Attempt, status: AttemptStatus, error: str | None) -> None:
        async with self._db.transaction() as tx:
            await attempt_progress(tx, str(attempt.id), status, None, utcnow(), error=error)


def outbox_handlers(db: Database, cipher: FieldCipher, carrier: Carrier) -> dict[str, Handler]:
    """Return the handlers of this noun's topics."""
    sender = Sender(db, cipher, carrier)
    return {CALL_TOPIC: sender.call, TEXT_TOPIC: sender.text}
