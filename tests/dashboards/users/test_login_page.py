"""The login page and one's own account, as a browser without scripts sees them."""

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from kernel.auth import web
from kernel.auth.model import Role
from kernel.db import Database, fetch_value
from kernel.web import WebContext
from tests.dashboards.users.conftest import HOST, PASSWORD, Browser, Clock, MakeUser, Open


def cookie_line(response: httpx.Response, name: str) -> str:
    lines = response.headers.get_list("set-cookie")
    return next((line for line in lines if line.startswith(f"{name}=")), "")


class TestLogin:
    async def test_the_page_asks_for_name_and_password_under_the_strict_policy(
        self, browser: Browser
    ) -> None:
        response = await browser.open("/login")
        assert response.status_code == 200
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert 'autocomplete="current-password"' in browser.page
        assert "style=" not in browser.page
        assert len(browser.token) == 64

    @pytest.mark.parametrize(
        ("roles", "home"),
        [
            ([Role.OPERATOR], "/console"),
            ([Role.SUPERVISOR], "/console"),
            ([Role.CARE_MANAGER], "/console/elders"),
            ([Role.ADMINISTRATOR], "/console/staff"),
            ([Role.ADMINISTRATOR, Role.OPERATOR], "/console"),
            ([Role.SUBSIDY_OFFICER], "/console/elders"),
            ([Role.DEVICE_TECHNICIAN], "/console/fleet"),
            ([Role.AUDITOR], "/console/audit"),
            ([Role.RESPONDER], "/account"),
        ],
    )
    async def test_everybody_lands_where_their_work_is(
        self, browser: Browser, make_user: MakeUser, roles: list[Role], home: str
    ) -> None:
        await make_user("wangfang", *roles)
        response = await browser.log_in("wangfang")
        assert (response.status_code, response.headers["location"]) == (303, home)
        start = await browser.get("/")
        assert (start.status_code, start.headers["location"]) == (303, home)

    @pytest.mark.parametrize(
        ("wanted", "target"),
        [
            ("/console/elders?q=李", "/console/elders?q=%E6%9D%8E"),
            ("/console/elders?q=%E6%9D%8E", "/console/elders?q=%E6%9D%8E"),
            ("https://evil.example/", "/console"),
            ("//evil.example", "/console"),
            ("/\\evil.example", "/console"),
        ],
    )
    async def test_the_login_goes_on_to_our_own_pages_only(
        self, browser: Browser, make_user: MakeUser, wanted: str, target: str
    ) -> None:
        await make_user("wangfang")
        response = await browser.log_in("wangfang", next=wanted)
        assert response.headers["location"] == target

    async def test_the_demonstration_says_who_its_accounts_are(
        self, browser: Browser, app: FastAPI
    ) -> None:
        context: WebContext = app.state.context
        app.state.context = replace(context, demo=True)
        app.state.demo_accounts = [("sunli", "sunl-0a9a", "孙丽", "care_manager")]
        await browser.open("/login")
        assert "照护管理 孙丽 sunli / sunl-0a9a" in browser.text

    async def test_the_wanted_page_survives_a_wrong_password(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        first = await browser.open("/account")
        assert first.headers["location"] == "/login?next=/account"
        await browser.open(first.headers["location"])
        assert 'name="next" value="/account"' in browser.page
        response = await browser.submit(
            "/login", username="wangfang", password="wrong", next="/account"
        )
        assert response.status_code == 401
        assert 'name="next" value="/account"' in browser.page
        assert 'value="wangfang"' in browser.page
        assert "用户名或密码不对" in browser.text
        assert "wrong" not in browser.page
        response = await browser.submit(
            "/login", username="wangfang", password=PASSWORD, next="/account"
        )
        assert response.headers["location"] == "/account"

    async def test_a_lock_says_until_when(
        self, browser: Browser, make_user: MakeUser, clock: Clock
    ) -> None:
        await make_user("wangfang")
        for _ in range(5):
            response = await browser.log_in("wangfang", "wrong")
        assert response.status_code == 429
        assert "今天 22:18 后可以再试" in browser.text
        clock.advance(minutes=10)
        await browser.log_in("wangfang")
        assert "今天 22:18 后可以再试" in browser.text
        clock.advance(minutes=6)
        assert (await browser.log_in("wangfang")).status_code == 303

    async def test_an_address_that_fails_too_often_is_told_to_wait(self, browser: Browser) -> None:
        for number in range(21):
            response = await browser.log_in(f"name{number}", "wrong")
        assert response.status_code == 429
        assert "这个网络失败的登录太多" in browser.text

    async def test_it_speaks_english_to_who_reads_english(
        self, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        browser = open_browser(**{"Accept-Language": "en-GB"})
        await browser.log_in("wangfang", "wrong")
        assert "The user name or the password is wrong" in browser.text
        assert 'lang="en"' in browser.page

    async def test_an_old_login_page_is_shown_anew_with_what_was_typed(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        browser.page = ""
        response = await browser.submit("/login", username="wangfang", password=PASSWORD)
        assert response.status_code == 403
        assert "登录页面已过期" in browser.text
        assert 'value="wangfang"' in browser.page
        response = await browser.submit("/login", username="wangfang", password=PASSWORD)
        assert response.status_code == 303

    async def test_who_is_logged_in_skips_the_page(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        await browser.log_in("wangfang")
        response = await browser.get("/login?next=/account")
        assert (response.status_code, response.headers["location"]) == (303, "/account")

    async def test_a_file_instead_of_a_form_is_refused(self, browser: Browser) -> None:
        await browser.open("/login")
        response = await browser.post("/login", files={"username": ("a.bin", b"x" * 100_000)})
        assert response.status_code in (400, 403)

    async def test_a_program_logs_in_without_pages(
        self, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        program = open_browser(Accept="application/json")
        token = (await program.get("/login")).json()["csrf_token"]
        form = {"username": "wangfang", "password": "wrong", "_csrf": token}
        refused = await program.post("/login", data=form)
        assert (refused.status_code, refused.json()["code"]) == (401, "login_refused")
        answer = await program.post("/login", data=form | {"password": PASSWORD})
        assert answer.json()["username"] == "wangfang"
        session = (await program.get("/api/session")).json()
        assert session["csrf_token"] == answer.json()["csrf_token"]
        assert (session["roles"], session["division"]) == (["operator"], "1501")

    async def test_without_a_session_a_program_gets_401(self, open_browser: Open) -> None:
        program = open_browser(Accept="application/json")
        response = await program.get("/api/session")
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


class TestLogout:
    async def test_it_ends_the_session_and_takes_the_cookie_back(
        self, browser: Browser, make_user: MakeUser, db: Database
    ) -> None:
        await make_user("wangfang")
        await browser.log_in("wangfang")
        await browser.open("/account")
        response = await browser.submit("/logout")
        assert (response.status_code, response.headers["location"]) == (303, "/login")
        assert "Max-Age=0" in cookie_line(response, web.COOKIE)
        async with db.connection() as conn:
            assert await fetch_value(conn, "SELECT count(*) FROM user_session") == 0
        assert (await browser.open("/account")).status_code == 303

    async def test_another_site_cannot_log_anybody_out(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        await browser.log_in("wangfang")
        browser.page = ""
        assert (await browser.submit("/logout")).status_code == 403
        assert (await browser.open("/account")).status_code == 200


class TestAccount:
    async def test_the_page_shows_role_division_and_where_one_is_logged_in(
        self, browser: Browser, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user("wangfang", Role.OPERATOR, Role.SUPERVISOR)
        other = open_browser(**{"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/128.0"})
        await other.log_in("wangfang")
        await browser.log_in("wangfang")
        assert (await browser.open("/account")).status_code == 200
        assert "坐席" in browser.text
        assert "值班长" in browser.text
        assert "内蒙古自治区 呼和浩特市" in browser.text
        assert "Firefox · Windows" in browser.text
        assert browser.text.count("本机") == 1
        response = await browser.submit("/account/sessions/end")
        assert response.headers["location"] == "/account?changed=sessions"
        assert (await other.get("/account")).status_code == 303
        assert (await browser.get("/account")).status_code == 200

    async def test_looks_are_kept_with_the_account_and_in_the_browser(
        self, browser: Browser, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        await browser.log_in("wangfang")
        await browser.open("/account")
        for choice in ({"locale": "en"}, {"theme": "dark"}, {"size": "large"}):
            response = await browser.submit("/preferences", next="/account", **choice)
            assert (response.status_code, response.headers["location"]) == (303, "/account")
        await browser.open("/account")
        assert 'lang="en"' in browser.page
        assert 'data-bs-theme="dark"' in browser.page
        assert 'data-size="large"' in browser.page
        assert "My account" in browser.text
        elsewhere = open_browser()
        await elsewhere.log_in("wangfang")
        await elsewhere.open("/account")
        assert 'data-bs-theme="dark"' in elsewhere.page

    async def test_the_language_is_the_browser_s_until_one_is_chosen(
        self, browser: Browser, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user("smith")
        foreign = open_browser(**{"Accept-Language": "en-GB"})
        for visitor, language in ((browser, "zh-CN"), (foreign, "en")):
            await visitor.log_in("smith")
            await visitor.open("/account")
            assert f'lang="{language}"' in visitor.page
        # Another choice is none of the language: it goes on with the browser.
        await foreign.submit("/preferences", theme="dark")
        await browser.open("/account")
        assert 'lang="zh-CN"' in browser.page
        assert 'data-bs-theme="dark"' in browser.page
        await browser.submit("/preferences", locale="zh")
        await foreign.open("/account")
        assert 'lang="zh-CN"' in foreign.page

    async def test_what_was_chosen_at_the_login_page_holds_after_it(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user("smith")
        await browser.post("/preferences", data={"locale": "en", "next": "/login"})
        await browser.log_in("smith")
        await browser.open("/account")
        assert 'lang="en"' in browser.page

    async def test_looks_need_the_sessions_token_and_go_back_to_our_pages_only(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        await browser.log_in("wangfang")
        await browser.open("/account")
        response = await browser.submit("/preferences", theme="dark", next="//evil.example")
        assert response.headers["location"] == "/"
        response = await browser.submit("/preferences", theme="pink", locale="fr")
        assert response.status_code == 303
        await browser.open("/account")
        assert 'data-bs-theme="dark"' in browser.page
        browser.page = ""
        assert (await browser.submit("/preferences", theme="light")).status_code == 403

    async def test_before_the_login_looks_lie_in_the_browser(self, browser: Browser) -> None:
        response = await browser.post("/preferences", data={"locale": "en", "next": "/login"})
        assert response.headers["location"] == "/login"
        await browser.open("/login")
        assert "User name" in browser.text

    async def test_duty_is_taken_and_left(self, browser: Browser, make_user: MakeUser) -> None:
        await make_user("wangfang")
        await browser.log_in("wangfang")
        await browser.open("/account")
        assert "不在岗 " in browser.text
        await browser.submit("/account/duty", on_duty="1")
        await browser.open("/account")
        assert "不在岗 " not in browser.text
        assert "在岗" in browser.text
        await browser.submit("/account/duty", on_duty="0")
        await browser.open("/account")
        assert "不在岗 " in browser.text

    async def test_the_password_is_changed_and_everything_else_logged_out(
        self, browser: Browser, open_browser: Open, make_user: MakeUser
    ) -> None:
        await make_user("wangfang")
        other = open_browser()
        await other.log_in("wangfang")
        await browser.log_in("wangfang")
        await browser.open("/account/password")
        refused = await browser.submit(
            "/account/password",
            current="wrong",
            new="five-camels-walk",
            repeated="five-camels-walk",
        )
        assert refused.status_code == 422
        assert "现在的密码不对" in browser.text
        assert "five-camels-walk" not in browser.page
        before = browser.cookies[web.COOKIE]
        response = await browser.submit(
            "/account/password",
            current=PASSWORD,
            new="five-camels-walk",
            repeated="five-camels-walk",
        )
        assert response.headers["location"] == "/account?changed=password"
        line = cookie_line(response, web.COOKIE).lower()
        assert all(flag in line for flag in ("httponly", "secure", "samesite=lax"))
        assert browser.cookies[web.COOKIE] != before
        await browser.open(response.headers["location"])
        assert "密码已修改" in browser.text
        assert (await other.get("/account")).status_code == 303

    async def test_a_temporary_password_must_be_changed_before_anything_else(
        self, browser: Browser, make_user: MakeUser
    ) -> None:
        await make_user("wangfang", must_change_password=True)
        await browser.log_in("wangfang")
        for path in ("/", "/account", "/console/staff"):
            response = await browser.get(path)
            assert (response.status_code, response.headers["location"]) == (
                303,
                "/account/password",
            )
        await browser.open("/account/password")
        assert "请先修改临时密码" in browser.text
        assert 'id="main"' in browser.page
        assert 'class="rail' not in browser.page
        await browser.submit(
            "/account/password",
            current=PASSWORD,
            new="five-camels-walk",
            repeated="five-camels-walk",
        )
        assert (await browser.get("/account")).status_code == 200

    async def test_for_htmx_the_whole_page_moves(
        self, browser: Browser, make_user: MakeUser, clock: Clock
    ) -> None:
        await make_user("wangfang")
        await browser.log_in("wangfang")
        clock.advance(hours=2)
        headers = {"HX-Request": "true", "HX-Current-URL": f"{HOST}/account?a=1"}
        response = await browser.get("/account", headers=headers)
        assert response.status_code == 401
        assert response.headers["hx-redirect"] == "/login?next=/account%3Fa%3D1"


def test_every_route_says_who_may_use_it(app: FastAPI) -> None:
    builtin = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
    open_ones = [
        rule.path for rule in web.route_rules(app) if not rule.guarded and rule.path not in builtin
    ]
    assert open_ones == []
