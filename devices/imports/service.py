"""Importing a list of devices: preview, then confirm; all of it or nothing.

Whoever calls has read the file already (that is work for a thread) and gives its interpretation.
Confirming asks the registry again: somebody may have taken an id meanwhile.
"""

import json
import uuid
from datetime import datetime, timedelta

from devices.credentials import service as credentials
from devices.credentials.model import Secret
from devices.credentials.rules import wants_secret
from devices.imports import store
from devices.imports.model import Draft, Import, ImportLine, Interpretation, Line, Report, State
from devices.profiles import PROFILES, DeviceType
from devices.registry import inventory
from devices.registry.access import naming_codec
from devices.registry.model import DeviceState
from kernel import audit
from kernel.auth.model import Actor, Permission
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx
from kernel.errors import Conflict, Forbidden, NotFound
from kernel.ids import new_id

KEPT = timedelta(hours=24)
PURPOSE = "device_import_secrets"


async def preview(
    tx: Tx,
    understood: Interpretation,
    *,
    filename: str,
    with_secrets: bool,
    actor: Actor,
    now: datetime,
) -> uuid.UUID:
    """Say what a list would do and keep it for 24 hours; return the import's id."""
    by = _who(actor)
    import_id = new_id()
    report = await _report(tx, actor, understood)
    await store.insert(
        tx, import_id=import_id, by=by, filename=filename.replace("\0", "")[-200:],
        rows=understood.rows, report=report, with_secrets=with_secrets, now=now,
    )  # fmt: skip
    counts = {"rows": len(understood.rows), "rows_wrong": report.rows_wrong}
    await _record(tx, actor, "device_import.previewed", import_id, now, counts)
    return import_id


async def get(tx: Tx, actor: Actor, import_id: uuid.UUID) -> Import:
    """Return an import of one's own. Raises NotFound."""
    found = await store.get(tx, import_id, _who(actor))
    if found is None:
        raise NotFound("There is no such import of yours.", import_id=str(import_id))
    return found


async def recent(tx: Tx, actor: Actor) -> list[ImportLine]:
    """Return one's own latest imports."""
    return await store.of_person(tx, _who(actor))


async def confirm(
    tx: Tx, cipher: FieldCipher, actor: Actor, import_id: uuid.UUID, now: datetime
) -> Import:
    """Put the whole list in stock, if everything in it still holds; return what came of it.

    When something no longer holds nothing is stored, and the import comes back with its new report.
    Raises NotFound, and Conflict when it is settled.
    """
    held = await _waiting(tx, actor, import_id)
    await store.one_at_a_time(tx)
    understood = Interpretation(
        held.rows, _of_the_list(held), held.report.columns, tuple(held.report.ignored)
    )
    report = await _report(tx, actor, understood)
    if not report.problems and held.rows:
        try:
            async with tx.transaction():
                numbers = await _store(tx, held.rows, now)
        except _TakenMeanwhile:
            report = await _report(tx, actor, understood)
        else:
            await _finish(tx, cipher, actor, held, numbers, now)
    await store.put_report(tx, import_id, report)
    return await get(tx, actor, import_id)


async def drop(tx: Tx, actor: Actor, import_id: uuid.UUID, now: datetime) -> None:
    """Throw a previewed list away. Raises NotFound, Conflict when it is settled."""
    await _waiting(tx, actor, import_id)
    await store.settle(tx, import_id, State.DROPPED, now)
    await _record(tx, actor, "device_import.dropped", import_id, now, {})


async def take_secrets(
    tx: Tx, cipher: FieldCipher, actor: Actor, import_id: uuid.UUID, now: datetime
) -> list[Secret]:
    """Return the credentials of an import, this once. Raises NotFound when they are gone."""
    box = await store.take_secrets(tx, import_id, _who(actor), now)
    if box is None:
        raise NotFound("The credentials were fetched already, or too long ago.")
    lines = json.loads(cipher.decrypt_bytes(PURPOSE, box))
    counts = {"rows": len(lines)}
    await _record(tx, actor, "device_import.secrets_fetched", import_id, now, counts)
    return [Secret(device_id, device_id, password) for device_id, password in lines]


async def expire_old(db: Database, now: datetime) -> None:
    """Throw away lists that nobody confirmed and credentials that nobody fetched in time."""
    async with db.transaction() as tx:
        await store.expire(tx, now - KEPT, now)


class _TakenMeanwhile(Exception):
    """Somebody registered one of the devices between our question and our answer."""


async def _store(tx: Tx, rows: tuple[Draft, ...], now: datetime) -> dict[str, int]:
    numbers = await store.insert_devices(tx, rows, now)
    if len(numbers) < len(rows):
        raise _TakenMeanwhile
    codecs = await _codecs(tx, rows)
    names = [(codecs[row.row], row.address, numbers[row.device_id]) for row in rows if row.address]
    if await store.insert_names(tx, names) < len(names):
        raise _TakenMeanwhile
    return numbers


async def _finish(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    held: Import,
    numbers: dict[str, int],
    now: datetime,
) -> None:
    if held.with_secrets:
        wanting = [
            (numbers[row.device_id], row.device_id)
            for row in held.rows
            if wants_secret(row.profile, behind_gateway=bool(row.gateway_id))
        ]
        secrets = await credentials.issue_many(
            tx, wanting, cipher=cipher, now=now, created_by=actor.user_id
        )
        if secrets:
            lines = json.dumps([(one.device_id, one.password) for one in secrets])
            box = cipher.encrypt_bytes(PURPOSE, lines.encode())
            await store.put_secrets(tx, held.id, box, now + KEPT)
    await store.settle(tx, held.id, State.IMPORTED, now)
    await _record(tx, actor, "device_import.imported", held.id, now, {"rows": len(held.rows)})


async def _waiting(tx: Tx, actor: Actor, import_id: uuid.UUID) -> Import:
    held = await store.get(tx, import_id, _who(actor), lock=True)
    if held is None:
        raise NotFound("There is no such import of yours.", import_id=str(import_id))
    if held.state is not State.PREVIEWED:
        raise Conflict("This import is settled already.", state=held.state.value)
    return held


# What the registry said of the list; everything else is in the list itself and stays.
_OF_REGISTRY = frozenset(
    {"device_id.taken", "division_code.outside", "gateway_id.unknown", "address.taken"}
)


def _of_the_list(held: Import) -> tuple[Line, ...]:
    return tuple(
        line for line in held.report.problems if f"{line.field}.{line.code}" not in _OF_REGISTRY
    )


async def _report(tx: Tx, actor: Actor, understood: Interpretation) -> Report:
    """Add what only the registry can tell to what the rows say by themselves."""
    rows, columns = understood.rows, understood.columns
    found = list(understood.problems)

    def say(row: Draft, field: str, code: str) -> None:
        found.append(Line(row.row, columns.get(field, ""), field, code))

    taken = await store.taken_ids(tx, [row.device_id for row in rows])
    codecs = await _codecs(tx, rows)
    names = await store.taken_names(
        tx, [(codecs[row.row], row.address) for row in rows if row.address and row.profile]
    )
    usable = await _gateways(tx, actor, rows)
    for row in rows:
        if row.device_id in taken:
            say(row, "device_id", "taken")
        if row.division_code and not actor.covers(row.division_code):
            say(row, "division_code", "outside")
        if row.gateway_id and row.gateway_id not in usable:
            say(row, "gateway_id", "unknown")
        if row.address and row.profile and (codecs[row.row], row.address) in names:
            say(row, "address", "taken")
    return Report(columns, understood.ignored, sorted(found, key=lambda line: line.row))


async def _codecs(tx: Tx, rows: tuple[Draft, ...]) -> dict[int, str]:
    """Return the protocol in which the name of each row counts, by the row's number."""
    known = await store.profiles_of(tx, {row.gateway_id for row in rows if row.gateway_id})
    known |= {row.device_id: row.profile for row in rows if row.profile}
    return {
        row.row: naming_codec(row.profile, known.get(row.gateway_id)) for row in rows if row.profile
    }


async def _gateways(tx: Tx, actor: Actor, rows: tuple[Draft, ...]) -> set[str]:
    """Return the ids of gateways that the list may name: its own, and those of the registry."""
    models = [code for code, model in PROFILES.items() if model.type is DeviceType.GATEWAY]
    own = {row.device_id for row in rows if row.profile in models and not row.gateway_id}
    known = await inventory.gateways(tx, models, actor.division)
    return own | {one.id for one in known if one.state is not DeviceState.RETIRED}


def _who(actor: Actor) -> uuid.UUID:
    if not actor.may(Permission.DEVICE_WRITE):
        permission = Permission.DEVICE_WRITE.value
        raise Forbidden("Your roles do not permit this.", permission=permission)
    if actor.user_id is None:
        raise NotFound("An import belongs to a person.")
    return actor.user_id


async def _record(
    tx: Tx, actor: Actor, action: str, import_id: uuid.UUID, now: datetime, detail: dict[str, int]
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="device_import",
        subject_id=str(import_id),
        division=actor.division,
        detail=detail,
        now=now,
    )
