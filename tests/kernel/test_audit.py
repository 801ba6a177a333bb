"""The audit chain holds under concurrency and shows every later change."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import audit
from kernel.audit import AuditFilters, AuditHead, VerifyResult
from kernel.auth.model import Actor, Role
from kernel.db import Database, Tx, execute, fetch_value
from kernel.ids import new_id

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)
WANG = Actor(new_id(), "wang.fang", "王芳", frozenset({Role.OPERATOR}), "1501")


async def say(tx: Tx, action: str = "elder.read", **changes: Any) -> None:
    values: dict[str, Any] = {
        "actor": WANG,
        "action": action,
        "subject_type": "elder",
        "subject_id": "e-1",
        "division": "150102000000",
        "detail": {"field": "phone"},
        "now": NOW,
    }
    await audit.record(tx, **(values | changes))


async def fill(db: Database, count: int) -> None:
    async with db.transaction() as tx:
        for number in range(count):
            await say(tx, subject_id=f"e-{number + 1}")


async def tamper(db: Database, sql: str) -> None:
    """Do what a person with the database's superuser can do."""
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute(sql.encode())


async def verified(db: Database, **how: Any) -> VerifyResult:
    async with db.connection() as tx:
        return await audit.verify(tx, **how)


async def test_an_empty_log_is_whole(db: Database) -> None:
    assert (await verified(db)).ok


async def test_fifty_transactions_at_once_leave_an_unbroken_chain(db: Database) -> None:
    async def one(number: int) -> None:
        async with db.transaction() as tx:
            await say(tx, subject_id=f"first-{number}")
            await say(tx, subject_id=f"second-{number}")

    await asyncio.gather(*(one(number) for number in range(50)))

    result = await verified(db)
    assert (result.ok, result.checked, result.head.seq) == (True, 100, 100)
    async with db.connection() as tx:
        left = await fetch_value(tx, "SELECT count(*) FROM audit_pending")
    assert left == 0


async def test_two_transactions_that_lock_in_opposite_order_do_not_deadlock(db: Database) -> None:
    async with db.transaction() as tx:
        await execute(tx, "CREATE TABLE thing (id int PRIMARY KEY, n int)")
        await execute(tx, "INSERT INTO thing VALUES (1, 0)")
    audited, locked = asyncio.Event(), asyncio.Event()

    async def audit_first() -> None:
        async with db.transaction() as tx:
            await say(tx)
            audited.set()
            await locked.wait()
            await execute(tx, "UPDATE thing SET n = n + 1")

    async def lock_first() -> None:
        async with db.transaction() as tx:
            await audited.wait()
            await execute(tx, "UPDATE thing SET n = n + 1")
            locked.set()
            await say(tx)

    await asyncio.gather(audit_first(), lock_first())
    assert (await verified(db)).checked == 2


async def test_what_was_rolled_back_is_not_in_the_log(db: Database) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with db.transaction() as tx:
            await say(tx)
            raise ZeroDivisionError
    async with db.transaction() as tx:
        await say(tx, subject_id="kept")
        with contextlib.suppress(ZeroDivisionError):
            async with tx.transaction():
                await say(tx, subject_id="savepoint")
                raise ZeroDivisionError
    async with db.connection() as tx:
        page = await audit.search(tx, AuditFilters())
    assert [entry.subject_id for entry in page.entries] == ["kept"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET action = 'nothing'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DELETE FROM audit_head",
    ],
)
async def test_the_log_cannot_be_changed_by_the_application(db: Database, statement: str) -> None:
    await fill(db, 1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        async with db.transaction() as tx:
            await tx.execute(statement.encode())


INSERTED = """INSERT INTO audit_log SELECT {seq}, at, actor_id, actor_name, action, subject_type,
              'forged', division, detail, hash, sha256(hash) FROM audit_log WHERE seq = {after}"""
SHIFTED = ";".join(
    [
        "UPDATE audit_log SET seq = seq + 1000 WHERE seq > 9",
        INSERTED.format(seq=10, after=9),
        "UPDATE audit_log SET seq = seq - 999 WHERE seq > 1000",
        "UPDATE audit_head SET seq = seq + 1",
    ]
)


@pytest.mark.parametrize(
    ("how", "seq", "reason"),
    [
        ('UPDATE audit_log SET detail = \'{"field":"name"}\' WHERE seq = 7', 7, "edited"),
        ("UPDATE audit_log SET actor_name = 'li.na' WHERE seq = 1", 1, "edited"),
        ("UPDATE audit_log SET at = at + interval '1 us' WHERE seq = 20", 20, "edited"),
        ("UPDATE audit_log SET actor_id = NULL WHERE seq = 3", 3, "edited"),
        ("UPDATE audit_log SET division = '150103000000' WHERE seq = 3", 3, "edited"),
        ("DELETE FROM audit_log WHERE seq = 5", 5, "removed"),
        ("DELETE FROM audit_log WHERE seq = 1", 1, "removed"),
        (
            "DELETE FROM audit_log WHERE seq = 5;"
            " UPDATE audit_log SET seq = seq - 1 WHERE seq > 5;"
            " UPDATE audit_head SET seq = seq - 1",
            5,
            "does not follow",
        ),
        ("DELETE FROM audit_log WHERE seq > 17", 18, "cut off"),
        ("DELETE FROM audit_log", 1, "cut off"),
        ("UPDATE audit_head SET hash = sha256('x')", 20, "does not fit"),
        ("DELETE FROM audit_head", 0, "head was removed"),
        (INSERTED.format(seq=21, after=20), 21, "inserted"),
        (
            SHIFTED,
            10,
            "edited or inserted",
        ),
        (
            "UPDATE audit_log SET subject_id = 'x' WHERE seq = 4;"
            " UPDATE audit_log SET seq = -1 * seq WHERE seq = 100",
            4,
            "edited",
        ),
    ],
)
async def test_a_change_behind_our_back_is_found_where_it_begins(
    db: Database, how: str, seq: int, reason: str
) -> None:
    await fill(db, 20)
    for statement in how.split(";"):
        await tamper(db, statement)
    result = await verified(db)
    assert not result.ok
    assert result.broken_seq == seq
    assert reason in result.reason


async def test_a_log_that_was_rewritten_as_a_whole_does_not_fit_a_noted_head(db: Database) -> None:
    await fill(db, 5)
    async with db.connection() as tx:
        noted = await audit.head(tx)
    await tamper(db, "DELETE FROM audit_log")
    await tamper(db, "UPDATE audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex')")
    async with db.transaction() as tx:
        for _ in range(6):
            await say(tx, subject_id="rewritten")

    assert (await verified(db)).ok
    result = await verified(db, anchor=noted)
    assert (result.ok, result.broken_seq) == (False, 5)
    assert (await verified(db, anchor=AuditHead(9, noted.hash))).broken_seq == 7


async def test_the_last_entries_can_be_checked_alone(db: Database) -> None:
    await fill(db, 20)
    await tamper(db, "UPDATE audit_log SET action = 'x' WHERE seq = 5")
    assert (await verified(db, last=10)).ok
    assert (await verified(db, last=10)).checked == 10
    assert (await verified(db, last=16)).broken_seq == 5


async def test_long_logs_are_read_in_batches(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 7)
    await fill(db, 30)
    assert (await verified(db)).checked == 30
    monkeypatch.setattr(audit, "EXPORTED", 7)
    exported = [entry.seq async for batch in audit.export(db, AuditFilters()) for entry in batch]
    assert exported == list(range(30, 0, -1))


async def test_a_slow_reader_of_an_export_holds_no_connection(
    db_url: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "EXPORTED", 7)
    await fill(db, 20)
    only_one = await Database.open(db_url, max_size=1)
    export = audit.export(only_one, AuditFilters())
    seen = await anext(export)
    await only_one.ping()
    await fill(db, 5)
    seen += [entry for batch in [each async for each in export] for entry in batch]
    assert [entry.seq for entry in seen] == list(range(20, 0, -1))
    await only_one.close()


async def test_the_database_computes_the_hash_that_we_document(db: Database) -> None:
    await fill(db, 1)
    async with db.connection() as tx:
        entry = (await audit.search(tx, AuditFilters())).entries[0]
    content = audit.content_hash(
        NOW, WANG.user_id, "wang.fang", "elder.read", "elder", "e-1", "150102000000",
        '{"field":"phone"}',
    )  # fmt: skip
    assert entry.hash == audit.chain_hash(audit.GENESIS, 1, content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(detail=st.dictionaries(st.text(), json_values, max_size=4), subject=st.text(max_size=20))
async def test_any_detail_survives_the_database_unchanged(
    db: Database, detail: dict[str, Any], subject: str
) -> None:
    async with db.transaction() as tx:
        await say(tx, detail=detail, subject_id=subject)
    async with db.connection() as tx:
        entry = (await audit.search(tx, AuditFilters(), per_page=1)).entries[0]
        assert (await audit.verify(tx)).ok
    if "\ud800" <= max(json.dumps(detail, ensure_ascii=False) + subject) <= "\udfff":
        return
    assert entry.facts == detail


async def test_a_search_filters_and_counts_and_keeps_to_the_readers_division(db: Database) -> None:
    async with db.transaction() as tx:
        await say(tx, "user.created", subject_type="user", division="150103000000")
        await say(tx, "user.disabled", subject_type="user", now=NOW + timedelta(hours=1))
        await say(tx, "users_else", subject_id="e-2")
        await say(tx, "login.failed", division="", subject_id="100%")
    async with db.connection() as tx:

        async def found(**how: Any) -> list[str]:
            page = await audit.search(tx, AuditFilters(**how))
            assert page.total == len(page.entries)
            return [entry.action for entry in page.entries]

        everything = ["login.failed", "users_else", "user.disabled", "user.created"]
        assert await found() == everything
        assert await found(action="user") == ["user.disabled", "user.created"]
        assert await found(action="user.created") == ["user.created"]
        assert await found(scope="150103") == ["user.created"]
        assert await found(subject_type="user", scope="1501") == ["user.disabled", "user.created"]
        assert await found(subject_id="e-2") == ["users_else"]
        assert await found(text="WANG", since=NOW + timedelta(minutes=1)) == ["user.disabled"]
        assert await found(until=NOW) == []
        assert await found(text="100%") == ["login.failed"]
        page = await audit.search(tx, AuditFilters(), 2, per_page=3)
        assert (page.total, [entry.action for entry in page.entries]) == (4, ["user.created"])
