"""Logging in over HTTP: cookies, fixation, the login form's own protection, what is audited."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from kernel import audit
from kernel.audit import AuditFilters
from kernel.auth import passwords, prelogin, service, users, web
from kernel.auth.model import SYSTEM, Role
from kernel.db import Database, execute, fetch_value
from kernel.errors import DomainError, Invalid
from kernel.tokens import token_hash
from tests.kernel.auth.conftest import PASSWORD, Browser, Clock, MakeUser, Open


def cookie_line(response: httpx.Response, name: str) -> str:
    lines = response.headers.get_list("set-cookie")
    return next(line for line in lines if line.startswith(f"{name}="))


async def audited(db: Database) -> list[audit.AuditEntry]:
    async with db.connection() as tx:
        return (await audit.search(tx, AuditFilters(action="login"))).entries


async def test_a_person_logs_in_and_is_known(browser: Browser, make_user: MakeUser) -> None:
    await make_user()
    assert (await browser.log_in("wang.fang")).status_code == 200
    assert (await browser.get("/me")).json() == {"username": "wang.fang"}


async def test_the_name_may_be_written_in_any_case(browser: Browser, make_user: MakeUser) -> None:
    await make_user()
    assert (await browser.log_in(" Wang.FANG ")).status_code == 200


async def test_the_cookie_is_for_our_server_alone(browser: Browser, make_user: MakeUser) -> None:
    await make_user()
    response = await browser.log_in("wang.fang")
    line = cookie_line(response, web.COOKIE).lower()
    for flag in ("httponly", "secure", "samesite=lax", "path=/"):
        assert flag in line
    assert "domain" not in line
    assert "max-age" not in line
    assert len(browser.session_cookie) >= 43


async def test_on_plain_http_the_cookie_is_not_secure(
    browser: Browser, make_user: MakeUser, app: FastAPI
) -> None:
    await make_user()
    app.state.context = replace(app.state.context, secure_cookies=False)
    line = cookie_line(await browser.log_in("wang.fang"), web.COOKIE).lower()
    assert "secure" not in line
    assert "httponly" in line


async def test_only_the_hash_of_the_token_is_stored(
    browser: Browser, make_user: MakeUser, db: Database
) -> None:
    await make_user()
    await browser.log_in("wang.fang")
    async with db.connection() as tx:
        rows = await (await tx.execute("SELECT * FROM user_session")).fetchall()
    assert len(rows) == 1
    assert browser.session_cookie not in repr(rows)
    assert token_hash(browser.session_cookie) in rows[0]


async def test_a_planted_token_is_not_adopted(
    browser: Browser, open_browser: Open, make_user: MakeUser
) -> None:
    await make_user()
    browser.cookies.set(web.COOKIE, "planted-by-somebody-else", domain="console.example.cn")
    await browser.log_in("wang.fang")
    attacker = open_browser()
    attacker.cookies.set(web.COOKIE, "planted-by-somebody-else")
    assert (await attacker.get("/api/me")).status_code == 401
    assert (await browser.get("/api/me")).status_code == 200


async def test_logging_in_again_renews_the_token_and_ends_the_old_session(
    browser: Browser, open_browser: Open, make_user: MakeUser
) -> None:
    await make_user()
    await browser.log_in("wang.fang")
    first = browser.session_cookie
    await browser.log_in("wang.fang")
    assert browser.session_cookie != first
    thief = open_browser()
    thief.cookies.set(web.COOKIE, first)
    assert (await thief.get("/api/me")).status_code == 401


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("wang.fang", "wrong-password"),
        ("nobody", PASSWORD),
        ("", ""),
        ("wang.fang", ""),
        ("wang.fang' OR '1'='1", PASSWORD),
        ("wang\0fang", PASSWORD),
        ("x" * 100_000, PASSWORD),
        ("disabled", PASSWORD),
    ],
)
async def test_whatever_is_wrong_the_answer_is_the_same(
    browser: Browser, make_user: MakeUser, db: Database, username: str, password: str
) -> None:
    await make_user()
    gone = await make_user("disabled")
    async with db.transaction() as tx:
        await execute(tx, "UPDATE user_account SET disabled_at = now() WHERE id = %s", (gone.id,))
    response = await browser.log_in(username, password)
    assert response.status_code == 401
    assert response.json() == {
        "code": "login_refused",
        "message": "The username or the password is wrong.",
    }
    assert web.COOKIE not in response.cookies


async def test_an_unknown_name_costs_one_hash_like_a_wrong_password(
    real_hashes: None, browser: Browser, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_user()
    hashes: list[str] = []
    real = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: str) -> bool:
        hashes.append(stored)
        return real(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    await browser.log_in("wang.fang", "wrong-password")
    await browser.log_in("nobody", "wrong-password")
    assert len(hashes) == 2
    assert hashes[1] == passwords.NOBODY
    assert hashes[0].rsplit("$", 2)[0] == hashes[1].rsplit("$", 2)[0]


async def test_logins_are_audited_without_the_names_of_nobody(
    browser: Browser, make_user: MakeUser, db: Database
) -> None:
    user = await make_user()
    await browser.log_in("my-password-in-the-wrong-field", "x")
    await browser.log_in("wang.fang", "x")
    await browser.log_in("wang.fang")
    entries = await audited(db)
    assert [(e.action, e.actor_name) for e in entries] == [
        ("login.succeeded", "wang.fang"),
        ("login.failed", "wang.fang"),
        ("login.failed", "?"),
    ]
    assert entries[0].subject_id == str(user.id)
    assert entries[0].division == "1501"
    assert entries[0].facts == {"ip": "127.0.0.1"}
    assert "my-password" not in repr(entries)


async def test_an_old_hash_is_replaced_at_the_login(
    browser: Browser, make_user: MakeUser, db: Database
) -> None:
    user = await make_user()
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with db.transaction() as tx:
        await execute(
            tx, "UPDATE user_account SET password_hash = %s WHERE id = %s", (weak, user.id)
        )
    assert (await browser.log_in("wang.fang")).status_code == 200
    async with db.connection() as tx:
        stored = await fetch_value(
            tx, "SELECT password_hash FROM user_account WHERE id = %s", (user.id,)
        )
    assert not passwords.needs_rehash(stored)
    assert (await browser.log_in("wang.fang")).status_code == 200


async def test_an_account_disabled_while_the_password_is_checked_stays_out(
    browser: Browser, make_user: MakeUser, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await make_user()
    real = PasswordHasher.verify
    loop = asyncio.get_running_loop()

    async def disable() -> None:
        async with db.transaction() as tx:
            await execute(
                tx, "UPDATE user_account SET disabled_at = now() WHERE id = %s", (user.id,)
            )

    def slow(self: PasswordHasher, stored: str, password: str) -> bool:
        asyncio.run_coroutine_threadsafe(disable(), loop).result(30)
        return real(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", slow)
    assert (await browser.log_in("wang.fang")).status_code == 401


class TestLoginForm:
    """Another site must not be able to log somebody in under an account of its own."""

    async def test_a_form_without_its_token_is_refused(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user()
        form = {"username": "wang.fang", "password": PASSWORD}
        assert (await browser.post("/login", data=form)).status_code == 403
        await browser.get("/login")
        assert (await browser.post("/login", data=form)).status_code == 403
        wrong = form | {"_csrf": "0" * 64}
        assert (await browser.post("/login", data=wrong)).status_code == 403

    async def test_a_token_of_another_browser_is_refused(
        self, browser: Browser, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user()
        other = (await open_browser().get("/login")).text
        await browser.get("/login")
        form = {"username": "wang.fang", "password": PASSWORD, "_csrf": other}
        assert (await browser.post("/login", data=form)).status_code == 403

    @pytest.mark.parametrize(
        ("origin", "status"),
        [
            ("https://console.example.cn", 200),
            ("https://evil.example", 403),
            ("https://console.example.cn.evil.example", 403),
            ("null", 403),
        ],
    )
    async def test_the_origin_must_be_ours(
        self, browser: Browser, make_user: MakeUser, origin: str, status: int
    ) -> None:
        await make_user()
        response = await browser.log_in("wang.fang", origin=origin)
        assert response.status_code == status

    async def test_two_open_tabs_both_work(self, browser: Browser, make_user: MakeUser) -> None:
        await make_user()
        first = (await browser.get("/login")).text
        await browser.get("/login")
        form = {"username": "wang.fang", "password": PASSWORD, "_csrf": first}
        assert (await browser.post("/login", data=form)).status_code == 200

    async def test_its_cookie_goes_to_the_login_page_only(self, browser: Browser) -> None:
        line = cookie_line(await browser.get("/login"), prelogin.COOKIE).lower()
        for flag in ("httponly", "secure", "samesite=strict", "path=/login"):
            assert flag in line


class TestPasswordChange:
    """Who logs in with a temporary password can do nothing else before it is changed."""

    async def test_nothing_but_the_change_is_open(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user(must_change_password=True)
        await browser.log_in("wang.fang")
        refused = await browser.get("/me")
        assert (refused.status_code, refused.headers["location"]) == (303, "/account/password")
        api = await browser.get("/api/me")
        assert (api.status_code, api.json()["code"]) == (403, "password_change_required")
        assert (await browser.get("/account/password")).json() == {"must_change": True}

    async def test_it_ends_every_session_and_opens_a_fresh_one(
        self, browser: Browser, open_browser: Open, make_user: MakeUser, db: Database, clock: Clock
    ) -> None:
        await make_user(must_change_password=True)
        other = open_browser()
        await browser.log_in("wang.fang")
        await other.log_in("wang.fang")
        session = await service.find(db, browser.session_cookie, clock.now)
        assert session is not None
        opened = await service.change_password(
            db, session, current=PASSWORD, new="five-camels-walk", repeated="five-camels-walk",
            client_ip="127.0.0.1", user_agent="", now=clock.now,
        )  # fmt: skip
        assert (await browser.get("/api/me")).status_code == 401
        assert (await other.get("/api/me")).status_code == 401
        browser.cookies.set(web.COOKIE, opened.token, domain="console.example.cn")
        fresh = open_browser()
        fresh.cookies.set(web.COOKIE, opened.token)
        assert (await fresh.get("/api/me")).status_code == 200
        assert (await open_browser().log_in("wang.fang")).status_code == 401
        assert (await open_browser().log_in("wang.fang", "five-camels-walk")).status_code == 200

    @pytest.mark.parametrize(
        ("current", "new", "repeated", "problem"),
        [
            (
                "wrong-password",
                "five-camels-walk",
                "five-camels-walk",
                ("current", "password_wrong"),
            ),
            (PASSWORD, "short", "short", ("new", "password_short")),
            (PASSWORD, "five-camels-walk", "five-camels-run", ("repeated", "password_repeat")),
            (PASSWORD, PASSWORD, PASSWORD, ("new", "password_same")),
        ],
    )
    async def test_what_is_wrong_is_said_by_field(
        self,
        browser: Browser,
        make_user: MakeUser,
        db: Database,
        now: datetime,
        current: str,
        new: str,
        repeated: str,
        problem: tuple[str, str],
    ) -> None:
        await make_user()
        await browser.log_in("wang.fang")
        session = await service.find(db, browser.session_cookie, now)
        assert session is not None
        with pytest.raises(Invalid) as caught:
            await service.change_password(
                db, session, current=current, new=new, repeated=repeated,
                client_ip="127.0.0.1", user_agent="", now=now,
            )  # fmt: skip
        assert caught.value.facts["problems"] == dict([problem])

    async def test_a_stolen_session_cannot_guess_the_password(
        self, browser: Browser, make_user: MakeUser, db: Database, now: datetime
    ) -> None:
        await make_user()
        await browser.log_in("wang.fang")
        session = await service.find(db, browser.session_cookie, now)
        assert session is not None
        codes = []
        for number in range(6):
            try:
                await service.change_password(
                    db, session, current=f"guess-{number}", new="five-camels-walk",
                    repeated="five-camels-walk", client_ip="127.0.0.1", user_agent="", now=now,
                )  # fmt: skip
            except DomainError as error:
                codes.append(error.code)
        assert codes == ["invalid"] * 5 + ["locked_out"]


async def test_a_reset_by_the_administrator_logs_out_and_unlocks(
    browser: Browser, open_browser: Open, make_user: MakeUser, db: Database, clock: Clock
) -> None:
    user = await make_user()
    await browser.log_in("wang.fang")
    for _ in range(5):
        await open_browser().log_in("wang.fang", "wrong-password")
    async with db.transaction() as tx:
        _, secret = await users.reset_password(tx, SYSTEM, user.id, clock.now)
    assert (await browser.get("/api/me")).status_code == 401
    assert (await browser.log_in("wang.fang", secret)).status_code == 200
    assert (await browser.get("/account/password")).json() == {"must_change": True}


async def test_disabling_ends_every_session_at_once(
    browser: Browser, make_user: MakeUser, db: Database, clock: Clock
) -> None:
    user = await make_user()
    await browser.log_in("wang.fang")
    form = users.AccountForm("王芳", frozenset({Role.OPERATOR}), "1501", disabled=True)
    async with db.transaction() as tx:
        await users.edit_user(tx, SYSTEM, user.id, 1, form, clock.now + timedelta(seconds=1))
        left = await fetch_value(tx, "SELECT count(*) FROM user_session")
    assert left == 0
    assert (await browser.get("/api/me")).status_code == 401
