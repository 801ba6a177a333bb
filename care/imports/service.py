"""Importing a list of elders: preview, then confirm; all of it or nothing.

Reading a file takes seconds of the processor: it happens in a thread and while no transaction is
open. So these use cases take the database, not a transaction. Storing is one transaction.
"""

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from care.elders import store as elders
from care.elders.importer import ImportRow, Interpretation, RowProblem, interpret
from care.elders.problems import Problem
from care.elders.service import require
from care.elders.store import PHONE, NewElder
from care.imports import store
from care.imports.model import Import, ImportLine, Report, ReportLine, ReportRow, State
from care.imports.places import Places
from care.sheets.reading import SheetError, read_rows
from kernel import audit
from kernel.auth.model import Actor, Permission
from kernel.crypto import FieldCipher, mask_phone
from kernel.db import Database, Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import new_id

KEPT = timedelta(hours=24)
# Encrypting and reading names as pinyin is work for the processor: between batches of this size
# the event loop gets to do something else.
_BATCH = 100


def _who(actor: Actor) -> uuid.UUID:
    require(actor, Permission.ELDER_IMPORT)
    if actor.user_id is None:
        raise NotFound("an import belongs to a person")
    return actor.user_id


async def preview(
    db: Database,
    cipher: FieldCipher,
    actor: Actor,
    *,
    filename: str,
    data: bytes,
    now: datetime,
) -> uuid.UUID:
    """Say what a file would do and keep it for 24 hours; return the import's id.

    Raises Invalid when the file cannot be read at all.
    """
    by = _who(actor)
    async with db.connection() as conn:
        places = Places(await store.places(conn, actor.division))
    understood = await _understand(data, places, now)
    import_id = new_id()
    async with db.transaction() as tx:
        report = await _report(tx, cipher, actor, understood, places)
        await store.insert(
            tx,
            cipher,
            import_id=import_id,
            by=by,
            filename=filename[-200:],
            data=data,
            report=report,
            now=now,
        )
        counts = {"rows": len(report.rows), "rows_wrong": report.rows_wrong}
        await _record(tx, actor, "elder_import.previewed", import_id, now, counts)
    return import_id


async def _understand(data: bytes, places: Places, now: datetime) -> Interpretation:
    def work() -> Interpretation:
        return interpret(read_rows(data), places, now)

    try:
        return await asyncio.to_thread(work)
    except SheetError as error:
        problem = Problem("file", error.code, error.facts)
        raise Invalid(
            "The file cannot be read.", {"file": str(error)}, problems=(problem,)
        ) from error


async def get(tx: Tx, cipher: FieldCipher, actor: Actor, import_id: uuid.UUID) -> Import:
    """Return an import of one's own with its report. Raises NotFound."""
    found = await store.get(tx, cipher, import_id, _who(actor))
    if found is None:
        raise NotFound("there is no such import of yours", import_id=str(import_id))
    return found


async def export_report(
    tx: Tx, cipher: FieldCipher, actor: Actor, import_id: uuid.UUID, now: datetime
) -> Import:
    """Return an import of one's own to be saved as a file, and audit it."""
    found = await get(tx, cipher, actor, import_id)
    rows = {"rows": len(found.report.rows)}
    await _record(tx, actor, "elder_import.report_exported", import_id, now, rows)
    return found


async def recent(tx: Tx, actor: Actor) -> list[ImportLine]:
    """Return one's own latest imports."""
    return await store.of_person(tx, _who(actor))


async def confirm(
    db: Database, cipher: FieldCipher, actor: Actor, import_id: uuid.UUID, now: datetime
) -> Import:
    """Import the file as a whole, if everything in it still holds; return what came of it.

    When something no longer holds (somebody registered one of the people in the meantime) nothing
    is imported, and the import comes back with its new report. Raises Conflict when it is settled.
    """
    by = _who(actor)
    async with db.connection() as conn:
        waiting = await get(conn, cipher, actor, import_id)
        data = await store.file_of(conn, cipher, import_id)
        places = Places(await store.places(conn, actor.division))
    if waiting.state is not State.PREVIEWED or data is None:
        raise _settled(waiting)
    understood = await _understand(data, places, now)
    async with db.transaction() as tx:
        held = await store.get(tx, cipher, import_id, by, lock=True)
        if held is None or held.state is not State.PREVIEWED:
            raise _settled(held or waiting)
        report = await _report(tx, cipher, actor, understood, places)
        if not report.problems and report.rows:
            ids = await _store(tx, cipher, actor, understood.rows, import_id, now)
            rows = zip(report.rows, ids, strict=True)
            report = replace(
                report, rows=tuple(replace(row, elder_id=str(one)) for row, one in rows)
            )
            await store.settle(tx, import_id, State.IMPORTED, now)
            counts = {"rows": len(ids)}
            await _record(tx, actor, "elder_import.imported", import_id, now, counts)
        await store.put_report(tx, cipher, import_id, report)
        return await get(tx, cipher, actor, import_id)


def _settled(found: Import) -> Conflict:
    return Conflict("this import is settled already", state=found.state.value)


async def drop(
    db: Database, cipher: FieldCipher, actor: Actor, import_id: uuid.UUID, now: datetime
) -> None:
    """Throw a previewed file away. Raises Conflict when it is settled."""
    by = _who(actor)
    async with db.transaction() as tx:
        held = await store.get(tx, cipher, import_id, by, lock=True)
        if held is None:
            raise NotFound("there is no such import of yours", import_id=str(import_id))
        if held.state is not State.PREVIEWED:
            raise _settled(held)
        await store.settle(tx, import_id, State.DROPPED, now)
        await _record(tx, actor, "elder_import.dropped", import_id, now, {})


async def expire_old(db: Database, now: datetime) -> None:
    """Throw away files that nobody confirmed in time."""
    async with db.transaction() as tx:
        await store.expire(tx, now - KEPT, now)


async def _store(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    rows: Sequence[ImportRow],
    import_id: uuid.UUID,
    now: datetime,
) -> list[uuid.UUID]:
    ids: list[uuid.UUID] = []
    for batch in _batches(rows):
        new = [NewElder(new_id(), row.draft, row.contacts) for row in batch]
        await elders.insert(tx, cipher, new, now, by=actor.user_id, import_id=import_id)
        ids += [one.id for one in new]
    return ids


def _batches(rows: Sequence[ImportRow]) -> Iterator[Sequence[ImportRow]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


async def _report(
    tx: Tx, cipher: FieldCipher, actor: Actor, understood: Interpretation, places: Places
) -> Report:
    """Add what only the database can tell to what the rows say by themselves."""
    found = [
        *understood.problems,
        *_outside(understood, actor),
        *await _taken(tx, cipher, understood),
    ]
    doubts = [*understood.warnings, *await _perhaps_registered(tx, cipher, understood)]
    rows = tuple(
        ReportRow(
            row=row.number,
            name=row.draft.name,
            sex=row.draft.sex.value,
            birth_date=row.draft.birth_date.isoformat() if row.draft.birth_date else "",
            area=places.name_of(row.draft.division_code),
            phone=mask_phone(row.draft.phones[0].number) if row.draft.phones else "",
            contacts=len(row.contacts),
        )
        for row in understood.rows
    )
    columns = understood.columns
    return Report(
        columns,
        understood.ignored,
        rows,
        _lines(found, columns.values()),
        _lines(doubts, columns.values()),
    )


def _lines(found: Iterable[RowProblem], columns: Iterable[str]) -> tuple[ReportLine, ...]:
    """Return the lines in the order in which somebody reads the sheet."""
    places = {title: place for place, title in enumerate(columns)}
    lines = [ReportLine(p.row, p.column, p.problem.code, dict(p.problem.facts)) for p in found]
    return tuple(sorted(lines, key=lambda line: (line.row, places.get(line.column, -1))))


def _outside(understood: Interpretation, actor: Actor) -> Iterator[RowProblem]:
    for row in understood.rows:
        code = row.draft.division_code
        if code and not actor.covers(code):
            problem = Problem("division_code", "division_outside")
            yield RowProblem(row.number, understood.column("division_code"), problem)


async def _taken(tx: Tx, cipher: FieldCipher, understood: Interpretation) -> list[RowProblem]:
    numbers = {row.draft.id_number for row in understood.rows if row.draft.id_number}
    owners = await elders.owners_of_id_numbers(tx, cipher, sorted(numbers))
    problem = Problem("id_number", "id_number_taken")
    return [
        RowProblem(row.number, understood.column("id_number"), problem)
        for row in understood.rows
        if row.draft.id_number in owners
    ]


async def _perhaps_registered(
    tx: Tx, cipher: FieldCipher, understood: Interpretation
) -> list[RowProblem]:
    keys = {
        row.number: (row.draft.name, cipher.blind_index(PHONE, row.draft.phones[0].number))
        for row in understood.rows
        if row.draft.phones
    }
    known = await store.registered(tx, list(keys.values()))
    problem = Problem("name", "perhaps_registered")
    return [
        RowProblem(number, understood.column("name"), problem)
        for number, key in keys.items()
        if key in known
    ]


async def _record(
    tx: Tx,
    actor: Actor,
    action: str,
    import_id: uuid.UUID,
    now: datetime,
    detail: dict[str, int],
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="elder_import",
        subject_id=str(import_id),
        division=actor.division,
        detail=detail,
        now=now,
    )
