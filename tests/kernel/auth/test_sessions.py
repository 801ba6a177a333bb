"""Sessions: their limits, their CSRF token, and what roles open."""

from datetime import timedelta

import pytest

from kernel.auth import service, users, web
from kernel.auth.model import SYSTEM, Role
from kernel.db import Database, execute, fetch_value
from tests.kernel.auth.conftest import Browser, Clock, MakeUser, Open


async def test_without_a_session_nobody_is_known(browser: Browser) -> None:
    assert (await browser.get("/api/me")).status_code == 401
    browser.cookies.set(web.COOKIE, "made-up")
    assert (await browser.get("/api/me")).status_code == 401
    assert (await browser.get("/api/me", headers={"Cookie": f"{web.COOKIE}="})).status_code == 401


async def test_a_session_in_use_lives_twelve_hours_and_no_longer(
    browser: Browser, make_user: MakeUser, clock: Clock
) -> None:
    await make_user()
    await browser.log_in("wang.fang")
    for _ in range(14):
        clock.advance(minutes=50)
        assert (await browser.get("/api/me")).status_code == 200
    clock.advance(minutes=19)
    assert (await browser.get("/api/me")).status_code == 200
    clock.advance(minutes=2)
    assert (await browser.get("/api/me")).status_code == 401


async def test_an_hour_without_a_request_ends_it(
    browser: Browser, make_user: MakeUser, clock: Clock
) -> None:
    await make_user()
    await browser.log_in("wang.fang")
    clock.advance(minutes=59)
    assert (await browser.get("/api/me")).status_code == 200
    clock.advance(minutes=61)
    assert (await browser.get("/api/me")).status_code == 401


async def test_an_open_feed_keeps_its_session_until_that_is_revoked(
    browser: Browser, make_user: MakeUser, clock: Clock, db: Database
) -> None:
    user = await make_user()
    await browser.log_in("wang.fang")
    session = await service.find(db, browser.session_cookie, clock.now)
    assert session is not None
    for _ in range(5):
        clock.advance(minutes=40)
        assert await service.keep_alive(db, session, clock.now)
    async with db.transaction() as tx:
        _, ended = await users.end_sessions(tx, SYSTEM, user.id, clock.now)
    assert ended == 1
    assert not await service.keep_alive(db, session, clock.now)


async def test_last_seen_is_written_once_a_minute(
    browser: Browser, make_user: MakeUser, clock: Clock, db: Database
) -> None:
    await make_user()
    await browser.log_in("wang.fang")

    async def written() -> int:
        async with db.connection() as tx:
            stamp = await fetch_value(tx, "SELECT last_seen_at FROM user_session")
        return int((stamp - began).total_seconds())

    began = clock.now
    seen = []
    for _ in range(7):
        clock.advance(seconds=25)
        await browser.get("/api/me")
        seen.append(await written())
    assert seen == [0, 0, 75, 75, 75, 150, 150]


async def test_one_indexed_query_finds_the_person(
    browser: Browser, make_user: MakeUser, db: Database
) -> None:
    await make_user()
    await browser.log_in("wang.fang")
    async with db.transaction() as tx:
        await execute(tx, "SET LOCAL enable_seqscan = off")
        rows = await tx.execute(
            "EXPLAIN SELECT 1 FROM user_session s JOIN user_account u ON u.id = s.user_id"
            " WHERE s.token_hash = 'x' AND u.disabled_at IS NULL"
        )
        plan = "\n".join(str(row[0]) for row in await rows.fetchall())
    assert "user_session_pkey" in plan
    assert "user_account_pkey" in plan


async def test_logging_out_ends_this_session_only(
    browser: Browser, open_browser: Open, make_user: MakeUser, db: Database, clock: Clock
) -> None:
    await make_user()
    other = open_browser()
    await browser.log_in("wang.fang")
    await other.log_in("wang.fang")
    session = await service.find(db, browser.session_cookie, clock.now)
    assert session is not None
    async with db.transaction() as tx:
        await service.logout(tx, session, clock.now)
    assert (await browser.get("/api/me")).status_code == 401
    assert (await other.get("/api/me")).status_code == 200


async def test_the_sessions_of_a_person_can_be_listed(
    browser: Browser, make_user: MakeUser, db: Database, clock: Clock
) -> None:
    user = await make_user()
    await browser.log_in("wang.fang", **{"user-agent": "Firefox on the third seat"})
    async with db.connection() as tx:
        found = await service.sessions_of(tx, user, clock.now)
        assert [(one.client_ip, one.user_agent) for one in found] == [
            ("127.0.0.1", "Firefox on the third seat")
        ]
        assert await service.sessions_of(tx, user, clock.now + timedelta(hours=2)) == []


class TestCsrf:
    """Every unsafe method shows the token of its session."""

    async def test_the_header_or_the_field_is_needed(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user()
        await browser.log_in("wang.fang")
        refused = await browser.post("/change")
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf")
        good = {web.CSRF_HEADER: browser.csrf}
        assert (await browser.post("/change", headers=good)).status_code == 200
        assert (await browser.post("/change", data={"_csrf": browser.csrf})).status_code == 200
        form = {"_csrf": browser.csrf, "word": "你好"}
        assert (await browser.post("/change-form", data=form)).json() == {"word": "你好"}

    @pytest.mark.parametrize("token", ["", "x", "ü", "0" * 43])
    async def test_a_wrong_token_is_refused(
        self, browser: Browser, make_user: MakeUser, token: str
    ) -> None:
        await make_user()
        await browser.log_in("wang.fang")
        response = await browser.post("/change", data={"_csrf": token})
        assert response.status_code == 403
        # A header that is there but wrong is not rescued by the field.
        response = await browser.post(
            "/change", data={"_csrf": browser.csrf}, headers={web.CSRF_HEADER: "wrong"}
        )
        assert response.status_code == 403

    async def test_the_token_of_another_session_is_refused(
        self, browser: Browser, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user()
        await make_user("zhao.min")
        other = open_browser()
        await other.log_in("zhao.min")
        await browser.log_in("wang.fang")
        assert (await browser.post("/change", data={"_csrf": other.csrf})).status_code == 403

    async def test_a_file_in_place_of_the_token_is_refused(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user()
        await browser.log_in("wang.fang")
        response = await browser.post("/change", files={"_csrf": ("a.txt", browser.csrf)})
        assert response.status_code == 403

    async def test_a_json_body_needs_the_header(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user()
        await browser.log_in("wang.fang")
        assert (await browser.post("/change", json={"_csrf": browser.csrf})).status_code == 403


class TestPermissions:
    """Roles open routes; changing them ends what was opened with the old ones."""

    async def test_all_permissions_of_a_route_are_needed(
        self, browser: Browser, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user("operator", Role.OPERATOR)
        await make_user("supervisor", Role.SUPERVISOR)
        await browser.log_in("operator")
        refused = await browser.get("/elders")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        other = open_browser()
        await other.log_in("supervisor")
        assert (await other.get("/elders")).status_code == 200

    async def test_a_role_that_is_taken_away_closes_at_once(
        self, browser: Browser, make_user: MakeUser, db: Database, clock: Clock
    ) -> None:
        user = await make_user("supervisor", Role.SUPERVISOR)
        await browser.log_in("supervisor")
        form = users.AccountForm("王芳", frozenset({Role.OPERATOR}), "1501")
        async with db.transaction() as tx:
            await users.edit_user(tx, SYSTEM, user.id, user.version, form, clock.now)
        assert (await browser.get("/api/me")).status_code == 401
        await browser.log_in("supervisor")
        assert (await browser.get("/elders")).status_code == 403

    def test_a_guard_without_a_permission_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="without a permission"):
            web.requires()
