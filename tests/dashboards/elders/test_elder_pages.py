"""Elders' list, search and who may see what, over HTTP as a browser without scripts."""

import csv
import io
import re
import unicodedata
import uuid
from html import unescape
from urllib.parse import unquote

import httpx
import pytest

from care.elders import problems
from care.elders.demo import SeededElder
from care.sheets import reading
from dashboards.console.elders import words
from kernel import audit
from kernel.auth.model import Role
from tests.dashboards.elders.conftest import Person, SignIn, Site
from tests.dashboards.elders.filing import post, register


async def test_the_list_counts_filters_pages_and_masks(
    site: Site, manager: Person, seeded: list[SeededElder]
) -> None:
    async with site.client(manager) as client:
        first = await client.get("/console/elders")
        second = await client.get("/console/elders?page=2")
        beyond = await client.get("/console/elders?page=99&sort=-age&living=nonsense&age=x")
        alone = await client.get("/console/elders?living=alone&state=incident")
        nobody = await client.get("/console/elders?q=nobo")
    assert first.status_code == 200
    assert 'data-total="60"' in first.text
    assert first.text.count('<th scope="row"') == 50
    assert second.text.count('<th scope="row"') == 10
    assert beyond.text.count('<th scope="row"') == 10
    assert "没有符合条件的老人" in nobody.text
    assert 'value="alone" selected' in alone.text
    assert re.search(r"1\d\d\*\*\*\*\d{4}", first.text)
    assert not re.search(r"\b1\d{10}\b", first.text)


async def test_the_search_box_finds_and_the_top_bar_goes_straight_there(
    site: Site, manager: Person
) -> None:
    path = await register(site, manager)
    for query in ("李建", "lijianguo", "ljg", "13812345678", "150102194001011238"):
        page = await found(site, manager, query)
        assert f'href="{path}"' in page.text, query
        assert f'value="{query}"' in page.text
        jump = await post(site, manager, "/console/search", {"q": query})
        assert (jump.status_code, jump.headers["location"]) == (303, path)
    several = await post(site, manager, "/console/search", {"q": "W-01"})
    empty = await post(site, manager, "/console/search", {})
    assert several.headers["location"] == "/console/elders?q=W-01"
    assert empty.headers["location"] == "/console/elders"


async def test_the_top_bar_goes_to_the_device_where_the_number_is_nobodys_or_one_repairs_it(
    site: Site, manager: Person, sign_in: SignIn
) -> None:
    technician = await sign_in("batu", Role.DEVICE_TECHNICIAN, name="巴图")
    elder = uuid.UUID((await register(site, manager)).rpartition("/")[2])
    async with site.db.transaction() as tx:
        for number, owner in (("GW-77", None), ("W-0193", elder)):
            await tx.execute(
                "INSERT INTO device"
                " (id, profile, division_code, state, elder_id, created_at, updated_at)"
                " VALUES (%s, 'sl-watch-1', '150102000000', %s, %s, now(), now())",
                (number, "bound" if owner else "stock", owner),
            )
    ways = [(manager, "gw-77", "/console/devices/GW-77"), (manager, "W-0193", "/console/elders/"),
            (technician, "W-0193", "/console/devices/W-0193")]  # fmt: skip
    for person, query, path in ways:
        jump = await post(site, person, "/console/search", {"q": query})
        assert jump.headers["location"].startswith(path), (person, query)


async def found(site: Site, person: Person, query: str, **more: str) -> httpx.Response:
    """Search as the form does, and follow to the list."""
    answer = await post(site, person, "/console/elders/find", {"q": query} | more)
    assert answer.status_code == 303
    async with site.client(person) as client:
        return await client.get(answer.headers["location"])


async def test_no_number_and_no_name_of_a_person_gets_into_an_address(
    site: Site, manager: Person, operator: Person, seeded: list[SeededElder]
) -> None:
    """Paging, sorting and export keep the search; a colleague cannot read it from the address."""
    await register(site, manager)
    numbers = ("13812345678", "0471-6281234", "150102194001011238", "１３８１２３４５６７８")
    for query in numbers:
        page = await found(site, manager, query, living="alone")
        assert f'value="{query}"' in page.text
        addresses = [str(page.url), *re.findall(r'(?:href|action)="([^"]*)"', page.text)]
        digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", query))
        for address in addresses:
            assert digits[-7:] not in re.sub(r"[^0-9]", "", unquote(address).split("~")[0])
        assert page.url.params["living"] == "alone"
        for link in re.findall(r'href="(/console/elders[^"]*q=[^"]*)"', page.text):
            async with site.client(manager) as client:
                same = await client.get(unescape(link))
            assert ("李建国" in same.text) == ("李建国" in page.text), link
    # From a bookmark of old, or typed by hand: the answer's address is the sealed one.
    async with site.client(manager) as client:
        plain = await client.get("/console/elders", params={"q": "13812345678"})
        assert (plain.status_code, "138" in plain.headers["location"].split("~")[0]) == (303, False)
        theirs = plain.headers["location"]
    async with site.client(operator) as client:
        other = await client.get(theirs, follow_redirects=True)
        exported = await client.get(theirs.replace("/elders", "/elders/export.csv", 1))
        broken = await client.get("/console/elders?q=~x")
    assert other.status_code == broken.status_code == 200
    assert "13812345678" not in other.text
    assert "这次搜索已经失效" in other.text
    assert exported.status_code == 303
    for text in ("13999999999", "没有这个人", "meiyouren"):
        unknown = await post(site, manager, "/console/search", {"q": text})
        assert unknown.headers["location"].startswith("/console/elders?q=~"), text


async def test_the_export_is_a_csv_of_the_filtered_list_and_on_record(
    site: Site, manager: Person, sign_in: SignIn, seeded: list[SeededElder]
) -> None:
    await register(site, manager, name="李建国", risk_notes="=HYPERLINK(1)")
    officer = await sign_in("officer", Role.SUBSIDY_OFFICER)
    async with site.client(manager) as client:
        whole = await client.get("/console/elders/export.csv?q=李建国")
    async with site.client(officer) as client:
        masked = await client.get("/console/elders/export.csv?q=李建国")
    assert whole.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(whole.content.decode("utf-8-sig"))))
    assert [(row["姓名"], row["电话"], row["年龄"]) for row in rows][:1] == [
        ("李建国", "13812345678", "86")
    ]
    assert rows[0]["风险提示"] == "'=HYPERLINK(1)"
    assert "138****5678" in masked.content.decode("utf-8-sig")
    async with site.db.connection() as conn:
        found = await audit.search(conn, audit.AuditFilters(action="elder.exported"))
    assert [entry.actor_name for entry in found.entries] == ["officer", "sunli"]


async def test_nothing_is_done_without_the_form_token(site: Site, manager: Person) -> None:
    path = await register(site, manager)
    async with site.client(manager) as client:
        for target in (f"{path}/reveal/address", f"{path}/notes", f"{path}/archive", path):
            answer = await client.post(target, data={"text": "x", "version": "1"})
            assert answer.status_code in {403, 405}


ROUTES = [
    ("GET", ""),
    ("GET", "/edit"),
    ("GET", "/contacts"),
    ("GET", "/watching"),
    ("GET", "/timeline"),
    ("GET", "/vitals"),
    ("POST", "/edit"),
    ("POST", "/contacts"),
    ("POST", "/watching"),
    ("POST", "/notes"),
    ("POST", "/consents"),
    ("POST", "/archive"),
    ("POST", "/restore"),
    ("POST", "/reveal/address"),
]


@pytest.mark.parametrize(("method", "tail"), ROUTES)
async def test_a_record_of_another_division_is_not_there(
    site: Site, manager: Person, sign_in: SignIn, method: str, tail: str
) -> None:
    path = await register(site, manager)
    stranger = await sign_in("zhaomin", Role.CARE_MANAGER, division="150104")
    form = {
        "_csrf": stranger.csrf, "version": "1", "text": "x", "reason": "x", "purpose": "face",
        "text_version": "1", "given_by": "x", "name": "李", "division": "玉泉区",
        "contacts.0.name": "李强", "contacts.0.phone": "13900001111", "contacts.0.relation": "son",
    }  # fmt: skip
    async with site.client(stranger) as client:
        sent = form if method == "POST" else None
        answer = await client.request(method, path + tail, data=sent)
    assert answer.status_code == 404
    assert "李建国" not in answer.text


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.OPERATOR, {"", "/timeline", "/vitals", "/notes", "/reveal/address"}),
        (Role.SUBSIDY_OFFICER, {"", "/timeline"}),
        (Role.DEVICE_TECHNICIAN, {"", "/timeline"}),
        (Role.ADMINISTRATOR, {"", "/timeline", "/edit", "/contacts", "/watching", "/notes"}),
        (Role.RESPONDER, set()),
        (Role.AUDITOR, set()),
    ],
)
async def test_each_role_gets_only_what_it_needs(
    site: Site, manager: Person, sign_in: SignIn, role: Role, allowed: set[str]
) -> None:
    path = await register(site, manager)
    person = await sign_in("somebody", role)
    reached = set()
    async with site.client(person) as client:
        for method, tail in ROUTES:
            if tail in {"/edit", "/contacts", "/watching"} and method == "POST":
                continue
            if tail in {"/consents", "/archive", "/restore"}:
                continue
            sent = {"_csrf": person.csrf, "text": "走访"} if method == "POST" else None
            answer = await client.request(method, path + tail, data=sent)
            assert answer.status_code in {200, 303, 403}
            if answer.status_code != 403:
                reached.add(tail)
    assert reached == allowed


async def test_every_problem_has_a_sentence_on_the_pages() -> None:
    assert set(words.PROBLEMS) >= set(problems.SENTENCES) | set(reading.SENTENCES)


async def test_english_pages_speak_english(
    site: Site, sign_in: SignIn, seeded: list[SeededElder]
) -> None:
    person = await sign_in("john", Role.SUPERVISOR, name="John Smith", locale="en")
    async with site.client(person) as client:
        for tail in ("", "/new", "/import", f"/{seeded[0].id}", f"/{seeded[0].id}/watching"):
            page = await client.get(f"/console/elders{tail}")
            assert page.status_code == 200
            assert page.headers["content-language"] == "en"
    refused = await post(site, person, "/console/elders", {"name": "", "division": "火星"})
    assert "There is no such division" in refused.text
