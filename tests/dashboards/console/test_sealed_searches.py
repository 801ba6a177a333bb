"""What is searched for on the console's lists names nobody in an address, and is still found."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from html import unescape
from urllib.parse import quote, unquote

import pytest

from dashboards.console.audit.routes import router as audit_router
from dashboards.console.deadletters.routes import router as letters_router
from dashboards.console.devices import router as devices_router
from dashboards.console.incidents.listing import router as incidents_router
from dashboards.console.responders.people import router as responders_router
from dashboards.console.sealed import looks_personal
from dashboards.console.users.routes import router as users_router
from dashboards.ui.environment import Pages
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.dashboards.devices.site import Site, make_site

LISTS = (
    "/console/devices", "/console/incidents", "/console/staff", "/console/audit",
    "/console/dead-letters", "/console/responders",
)  # fmt: skip
EVERYTHING = (Role.ADMINISTRATOR, Role.SUPERVISOR, Role.AUDITOR, Role.DEVICE_TECHNICIAN)


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


@pytest.fixture
async def site(
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages
) -> AsyncIterator[Site]:
    made = await make_site(
        db, cipher, now, pages, devices_router, incidents_router, users_router, audit_router,
        letters_router, responders_router,
    )  # fmt: skip
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("李秀英", True), ("ᠪᠠᠲᠤ", True), ("lixiuying", True), ("zhang min", True),
        ("13812345678", True), ("0471-6281234", True), ("１３８１２３４５６７８", True),
        ("lxy", False), ("W-0193", False), ("SL-PENDANT-2026", False), ("1024", False),
        ("0198f2c6-7d1e-7a40-9b55-0a1b2c3d4e5f", False), ("~abc", False), ("", False),
        ("~李秀英", True), ("~13812345678", True), ("~lixiuying", True),
    ],
)  # fmt: skip
def test_names_and_numbers_of_people_are_personal(text: str, personal: bool) -> None:
    assert looks_personal(text) is personal


@pytest.mark.parametrize("path", LISTS)
async def test_a_search_is_posted_and_kept_sealed(path: str, site: Site) -> None:
    """Paging, filters, export and reload keep it; a colleague cannot read it from the address."""
    boss = await site.visitor("boss", *EVERYTHING)
    other = await site.visitor("other", *EVERYTHING)
    for text in ("阿拉坦", "13812345678"):
        sent = await boss.submit(f"{path}/find", q=text)
        address = sent.headers["location"]
        assert (sent.status_code, address.split("~")[0]) == (303, f"{path}?q=")
        assert (await boss.open(address)).status_code == 200
        assert f'value="{text}"' in boss.page
        links = [unquote(unescape(one)) for one in re.findall(r'href="([^"]*)"', boss.page)]
        assert [one for one in links if text in one] == []
        # From a bookmark of old, or typed by hand: the answer's address is a sealed one.
        plain = await boss.open(f"{path}?q={quote(text)}")
        assert plain.headers["location"].startswith(f"{path}?q=~")
        assert (await other.follow(await other.open(address))).status_code == 200
        assert text not in other.page
    # What names nobody stays readable: it is sent to colleagues and kept as a bookmark.
    assert (await boss.submit(f"{path}/find", q="W-0193")).headers["location"] == f"{path}?q=W-0193"
    assert (await boss.submit(f"{path}/find")).headers["location"] == path


@pytest.mark.parametrize("path", LISTS)
async def test_a_search_that_does_not_open_is_not_passed_over(path: str, site: Site) -> None:
    """A colleague's link, or one that was cut: the list says that this is not what was searched."""
    boss = await site.visitor("boss", *EVERYTHING)
    other = await site.visitor("other", *EVERYTHING)
    address = (await boss.submit(f"{path}/find", q="阿拉坦")).headers["location"]
    sealed = address.partition("?q=")[2]
    for visitor, text in ((other, sealed), (boss, sealed[:-5]), (boss, f"{sealed[:-4]}AAAA")):
        sent = await visitor.open(f"{path}?q={text}&page=3")
        assert (sent.status_code, sent.headers["location"].split("?")[0]) == (303, path)
        assert (await visitor.follow(sent)).status_code == 200
        assert "这次搜索已经失效" in visitor.text
        # What is exported from here, and the next search, have nothing of it.
        assert sealed[:80] not in visitor.page
    await boss.open(address)
    assert "这次搜索已经失效" not in boss.text
    await boss.open(path)
    assert "这次搜索已经失效" not in boss.text


@pytest.mark.parametrize(
    "path",
    [
        "/console/devices/export.csv", "/console/devices/export.xlsx",
        "/console/incidents/export.csv", "/console/audit/export.csv",
    ],
)  # fmt: skip
async def test_an_export_of_a_search_that_does_not_open_is_not_everything(
    path: str, site: Site
) -> None:
    boss = await site.visitor("boss", *EVERYTHING)
    other = await site.visitor("other", *EVERYTHING)
    found = path.rpartition("/")[0]
    address = (await boss.submit(f"{found}/find", q="阿拉坦")).headers["location"]
    exported = address.replace(found, path, 1)
    assert (await boss.get(exported)).status_code == 200
    sent = await other.get(exported)
    assert (sent.status_code, sent.headers["location"].split("?")[0]) == (303, found)


async def test_the_other_filters_of_such_an_address_stay(site: Site) -> None:
    boss = await site.visitor("boss", *EVERYTHING)
    other = await site.visitor("other", *EVERYTHING, locale="en")
    sent = await boss.submit("/console/staff/find", q="王芳", role="operator")
    await other.follow(await other.open(sent.headers["location"]))
    assert 'value="operator" selected' in other.page
    assert "This search has ended" in other.text


async def test_a_sealed_search_finds_and_is_exported(site: Site) -> None:
    boss = await site.visitor("boss", *EVERYTHING, name="赵敏")
    await site.visitor("wangfang", Role.OPERATOR, name="王芳")
    await boss.follow(await boss.submit("/console/staff/find", q="王芳", role="operator"))
    assert 'data-total="1"' in boss.page
    assert 'value="operator" selected' in boss.page
    await boss.follow(await boss.submit("/console/audit/find", q="wangfang"))
    assert 'data-total="1"' in boss.page
    found = re.search(r'href="(/console/audit/export\.csv[^"]*)"', boss.page)
    assert found
    lines = (await boss.get(unescape(found[1]))).text.splitlines()
    assert len(lines) == 2
    assert "login.succeeded" in lines[1]


async def test_no_search_makes_an_address_without_end(site: Site) -> None:
    boss = await site.visitor("boss", *EVERYTHING)
    for text in ("李" * 100_000, "~" + "李" * 100_000, "~" + "A" * 100_000, "W-1" * 100_000):
        sent = await boss.submit("/console/staff/find", q=text)
        assert len(sent.headers["location"]) < 1500
        shown = await boss.follow(sent)
        # What looks sealed and does not open is sent on, to the list that says so.
        while shown.status_code == 303:
            shown = await boss.follow(shown)
        assert shown.status_code == 200


@pytest.mark.parametrize("path", [*LISTS, "/console/incidents/export.csv"])
async def test_no_address_breaks_a_list(path: str, site: Site) -> None:
    boss = await site.visitor("boss", *EVERYTHING)
    names = ("q", "status", "kind", "severity", "reason", "action", "subject", "role", "state")
    for text in ("%00", "a%00b", "~abc", "%F0%9D%9F%99", "9" * 5000):
        query = "&".join(f"{name}={text}" for name in (*names, "page", "sort"))
        assert (await boss.get(f"{path}?{query}")).status_code in (200, 303)
    for day in ("0001-01-01", "9999-12-31", "2026-02-30", "x" * 10_000):
        assert (await boss.get(f"{path}?from={day}&to={day}")).status_code == 200
