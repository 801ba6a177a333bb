"""At the edge: where a person is sent to log in, who is asking, which routes are guarded."""

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from kernel.auth import web
from kernel.auth.model import Permission
from tests.kernel.auth.conftest import Browser


@pytest.mark.parametrize(
    ("path", "headers", "status", "location"),
    [
        ("/me", {}, 303, "/login?next=/me"),
        ("/me?a=1&b=%2F", {}, 303, "/login?next=/me%3Fa%3D1%26b%3D%252F"),
        ("/me", {"Accept": "application/json"}, 401, None),
        ("/me", {"Accept": "text/event-stream"}, 401, None),
        ("/api/me", {}, 401, None),
    ],
)
async def test_who_is_not_logged_in_is_sent_to_the_login_or_told_401(
    browser: Browser, path: str, headers: dict[str, str], status: int, location: str | None
) -> None:
    response = await browser.get(path, headers=headers)
    assert response.status_code == status
    assert response.headers.get("location") == location


async def test_a_form_of_an_ended_session_leads_to_the_login_without_a_way_back(
    browser: Browser,
) -> None:
    response = await browser.post("/change")
    assert (response.status_code, response.headers["location"]) == (303, "/login")


async def test_a_fragment_moves_the_whole_page_to_the_login(browser: Browser) -> None:
    shown = "https://console.example.cn/incidents?status=open"
    headers = {"HX-Request": "true", "HX-Current-URL": shown}
    response = await browser.get("/me", headers=headers)
    assert response.status_code == 401
    assert response.headers["hx-redirect"] == "/login?next=/incidents%3Fstatus%3Dopen"
    assert "location" not in response.headers


@pytest.mark.parametrize(
    "wish",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/ /evil.example",
        "javascript:alert(1)",
        "incidents",
        "/login",
        "/login?next=/login",
        "/logout",
        "",
        None,
        "/" + "a" * 3000,
    ],
)
def test_the_way_back_never_leads_to_another_site(wish: str | None) -> None:
    assert web.local_path(wish) == "/"


@pytest.mark.parametrize("wish", ["/", "/incidents/7?tab=a#b", "/elders?q=%E6%9D%8E", "/a//b"])
def test_the_way_back_leads_to_our_own_pages(wish: str) -> None:
    assert web.local_path(wish) == wish


@given(st.text(alphabet="/\\:@.?#%ae\t\n x"))
def test_any_way_back_is_a_path_of_ours(wish: str) -> None:
    found = web.local_path(wish)
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert not set(found) & set("\\\t\n ")


@pytest.mark.parametrize(
    ("forwarded", "ip"),
    [
        (None, "127.0.0.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("10.1.2.3, 10.1.2.4", "10.1.2.3"),
        ("rubbish, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, rubbish", "127.0.0.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("", "127.0.0.1"),
    ],
)
async def test_the_client_is_whom_our_own_proxy_saw(
    browser: Browser, forwarded: str | None, ip: str
) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert (await browser.get("/ip", headers=headers)).json() == ip


async def test_nobody_else_can_name_an_address(app: FastAPI) -> None:
    import httpx

    transport = httpx.ASGITransport(app, client=("198.51.100.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://x") as stranger:
        response = await stranger.get("/ip", headers={"X-Forwarded-For": "127.0.0.1"})
    assert response.json() == "198.51.100.9"


def test_the_rules_of_all_routes_can_be_listed(app: FastAPI) -> None:
    rules = {(rule.path, method): rule for rule in web.route_rules(app) for method in rule.methods}
    assert rules["/login", "POST"].public
    assert rules["/login", "POST"].permissions is None
    assert rules["/me", "GET"].permissions == frozenset()
    assert rules["/account/password", "GET"].permissions == frozenset()
    assert rules["/elders", "GET"].permissions == frozenset(
        {Permission.ELDER_READ, Permission.ELDER_WRITE}
    )
    ours = {key: rule for key, rule in rules.items() if key[0] not in {"/openapi.json", "/docs"}}
    unguarded = {key for key, rule in ours.items() if not rule.guarded and key[1] != "HEAD"}
    assert ("/forgotten", "GET") in unguarded
    assert {path for path, _ in unguarded} <= {"/forgotten", "/redoc", "/docs/oauth2-redirect"}
