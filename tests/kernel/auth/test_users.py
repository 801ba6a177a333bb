"""Accounts: what may be entered, by whom, and who wins when two edit one."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
import pytest

from kernel import audit
from kernel.audit import AuditFilters
from kernel.auth import problems, service, users
from kernel.auth.model import SYSTEM, Actor, Role, User
from kernel.auth.users import AccountForm, UserFilters
from kernel.db import Database, Tx
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.ids import new_id
from tests.kernel.auth.conftest import PASSWORD, MakeUser

ADMIN = Actor(new_id(), "admin.city", "市管理员", frozenset({Role.ADMINISTRATOR}), "1501")
FORM = AccountForm("王芳", frozenset({Role.OPERATOR}), "150102")


async def create(tx: Tx, now: datetime, actor: Actor = ADMIN, **changes: Any) -> User:
    values: dict[str, Any] = {
        "username": "wang.fang",
        "display_name": "王芳",
        "roles": ["operator"],
        "division": "150102",
        "password": PASSWORD,
        "must_change_password": True,
    }
    return await users.create_user(tx, actor=actor, now=now, **(values | changes))


def codes(error: Invalid) -> Mapping[str, str]:
    found: Mapping[str, str] = error.facts["problems"]
    assert error.fields == {field: problems.SENTENCES[code] for field, code in found.items()}
    return found


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"username": "王芳"}, {"username": "username_characters"}),
        ({"username": "w"}, {"username": "username_characters"}),
        ({"username": "wang fang"}, {"username": "username_characters"}),
        ({"username": "WANG.FANG.2", "display_name": "  "}, {"display_name": "required"}),
        ({"display_name": "王" * 61}, {"display_name": "too_long"}),
        ({"roles": []}, {"roles": "required"}),
        ({"roles": ["operator", "emperor"]}, {"roles": "role_unknown"}),
        ({"division": "15010"}, {"division": "division_prefix"}),
        ({"division": "15"}, {"division": "division_outside"}),
        ({"division": ""}, {"division": "division_outside"}),
        ({"division": "1502"}, {"division": "division_outside"}),
        ({"password": "short"}, {"password": "password_short"}),
        (
            {"username": "", "roles": [], "password": ""},
            {
                "username": "username_characters",
                "roles": "required",
                "password": "password_short",
            },
        ),
    ],
)
async def test_what_cannot_be_stored_is_said_by_field(
    tx: Tx, now: datetime, changes: dict[str, Any], problem: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as caught:
        await create(tx, now, **changes)
    assert codes(caught.value) == problem


async def test_a_name_is_taken_in_any_case_also_at_the_same_moment(
    db: Database, now: datetime
) -> None:
    async def one(username: str) -> str:
        try:
            async with db.transaction() as tx:
                await create(tx, now, username=username)
        except Invalid as error:
            return codes(error)["username"]
        return "created"

    seen = await asyncio.gather(*(one(n) for n in ("wang.fang", "Wang.Fang", "WANG.FANG")))
    assert sorted(seen) == ["created", "username_taken", "username_taken"]


async def test_the_database_itself_refuses_an_account_without_a_role(tx: Tx, now: datetime) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        async with tx.transaction():
            await tx.execute(
                "INSERT INTO user_account (id, username, display_name, password_hash, roles,"
                " division, created_at) VALUES (%s, 'a', 'a', '', '{}', '', %s)",
                (new_id(), now),
            )


async def test_accounts_outside_of_the_division_do_not_exist_for_the_administrator(
    tx: Tx, now: datetime
) -> None:
    theirs = await create(tx, now, SYSTEM, username="other.city", division="1502")
    everywhere = await create(tx, now, SYSTEM, username="country", division="")
    mine = await create(tx, now)
    for stranger in (theirs.id, everywhere.id, new_id()):
        for attempt in (
            users.get(tx, ADMIN, stranger),
            users.edit_user(tx, ADMIN, stranger, 1, FORM, now),
            users.reset_password(tx, ADMIN, stranger, now),
            users.unlock_user(tx, ADMIN, stranger, now),
            users.end_sessions(tx, ADMIN, stranger, now),
            users.set_on_duty(tx, ADMIN, stranger, True, now),
        ):
            with pytest.raises(NotFound):
                await attempt
    found, total = await users.search(tx, ADMIN, UserFilters(), now)
    assert ([user.id for user in found], total) == ([mine.id], 1)


async def test_nobody_moves_an_account_out_of_their_division(tx: Tx, now: datetime) -> None:
    user = await create(tx, now)
    with pytest.raises(Invalid) as caught:
        await users.edit_user(tx, ADMIN, user.id, 1, replace(FORM, division="15"), now)
    assert codes(caught.value) == {"division": "division_outside"}


async def test_nobody_changes_their_own_rights_or_disables_themselves(
    tx: Tx, now: datetime
) -> None:
    user = await create(tx, now, SYSTEM, username="admin2", roles=["administrator"])
    self_made = user.as_actor()
    form = AccountForm("新名字", frozenset({Role.AUDITOR}), "150102001", disabled=True)
    with pytest.raises(Invalid) as caught:
        await users.edit_user(tx, self_made, user.id, 1, form, now)
    assert codes(caught.value) == {
        "roles": "own_rights",
        "division": "own_rights",
        "disabled": "disable_self",
    }
    kept = AccountForm("新名字", frozenset({Role.ADMINISTRATOR}), "150102")
    assert (await users.edit_user(tx, self_made, user.id, 1, kept, now)).display_name == "新名字"


async def test_of_two_who_edit_the_second_sees_the_conflict(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        user = await create(tx, now)

    async def edit(name: str) -> str:
        try:
            async with db.transaction() as tx:
                await users.edit_user(
                    tx, ADMIN, user.id, user.version, replace(FORM, display_name=name), now
                )
        except Conflict as error:
            return f"lost to version {error.facts['version']}"
        return "stored"

    assert sorted(await asyncio.gather(edit("一"), edit("二"))) == ["lost to version 2", "stored"]


async def test_an_edit_without_a_change_is_none(tx: Tx, now: datetime) -> None:
    user = await create(tx, now)
    assert (await users.edit_user(tx, ADMIN, user.id, 1, FORM, now)).version == 1


async def test_disabling_and_enabling(tx: Tx, now: datetime) -> None:
    user = await create(tx, now)
    gone = await users.edit_user(tx, ADMIN, user.id, 1, replace(FORM, disabled=True), now)
    assert gone.disabled_at == now
    assert (await users.get(tx, ADMIN, user.id)).disabled_at == now
    back = await users.edit_user(tx, ADMIN, user.id, 2, FORM, now)
    assert (back.disabled_at, back.version) == (None, 3)


async def test_the_list_searches_filters_sorts_and_pages(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        for number, role in enumerate(["operator", "operator", "supervisor", "auditor"]):
            await create(
                tx, now, username=f"user.{number}", roles=[role], display_name=f"人{number}"
            )
        gone = await create(tx, now, username="gone", display_name="离职")
        await users.edit_user(
            tx, ADMIN, gone.id, 1, replace(FORM, display_name="离职", disabled=True), now
        )
    for _ in range(5):
        with pytest.raises(DomainError):
            await service.login(
                db, username="user.3", password="no", client_ip="203.0.113.7", user_agent="",
                now=now,
            )  # fmt: skip
    async with db.connection() as tx:

        async def found(order: str = "username", **how: str) -> list[str]:
            page, total = await users.search(tx, ADMIN, UserFilters(**how), now, order=order)
            assert total == len(page)
            return [user.username for user in page]

        assert await found() == ["gone", "user.0", "user.1", "user.2", "user.3"]
        assert await found("-username", role="operator") == ["user.1", "user.0", "gone"]
        assert await found(text="USER.2") == ["user.2"]
        assert await found(text="离") == ["gone"]
        assert await found(text="100%_") == []
        assert await found(state="disabled") == ["gone"]
        assert await found(state="active", role="supervisor") == ["user.2"]
        assert await found(state="locked") == ["user.3"]
        page, total = await users.search(tx, ADMIN, UserFilters(), now, limit=2, offset=4)
        assert ([user.username for user in page], total) == (["user.3"], 5)


async def test_everything_is_audited_under_the_division_of_the_account(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    user = await make_user(division="150102")
    async with db.transaction() as tx:
        form = replace(FORM, roles=frozenset({Role.OPERATOR, Role.SUPERVISOR}))
        await users.edit_user(tx, ADMIN, user.id, 1, form, now)
        await users.set_on_duty(tx, ADMIN, user.id, True, now)
        await users.set_on_duty(tx, ADMIN, user.id, True, now)
        _, secret = await users.reset_password(tx, ADMIN, user.id, now)
        await users.end_sessions(tx, ADMIN, user.id, now)
        await users.edit_user(tx, ADMIN, user.id, 3, replace(form, disabled=True), now)
    async with db.connection() as tx:
        page = await audit.search(tx, AuditFilters(subject_type="user", subject_id=str(user.id)))
    assert [entry.action for entry in reversed(page.entries)] == [
        "user.created",
        "user.edited",
        "duty.started",
        "user.password_reset",
        "user.logged_out",
        "user.disabled",
    ]
    assert {entry.division for entry in page.entries} == {"150102"}
    edited = page.entries[-2]
    assert edited.actor_name == "admin.city"
    assert edited.facts["roles"] == [["operator"], ["operator", "supervisor"]]
    assert secret not in repr(page.entries)


async def test_preferences_are_stored_and_checked(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    user = await make_user()
    async with db.transaction() as tx:
        await service.set_preferences(
            tx, user.as_actor(), locale="en", theme="dark", text_size="large"
        )
        await service.set_on_duty(tx, user.as_actor(), True, now)
        changed = await users.get(tx, SYSTEM, user.id)
    assert (changed.locale, changed.theme, changed.text_size, changed.on_duty) == (
        "en", "dark", "large", True,
    )  # fmt: skip
    assert changed.version == 1
    with pytest.raises(Invalid) as caught:
        async with db.transaction() as tx:
            await service.set_preferences(
                tx, user.as_actor(), locale="fr", theme="pink", text_size="normal"
            )
    assert codes(caught.value) == {"locale": "choice_unknown", "theme": "choice_unknown"}


async def test_an_id_that_is_nobodys_is_not_found(tx: Tx) -> None:
    with pytest.raises(NotFound):
        await users.get(tx, SYSTEM, uuid.UUID(int=0))
