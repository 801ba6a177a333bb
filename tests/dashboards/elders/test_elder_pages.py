"""The elders' pages over HTTP, as a browser without scripts uses them."""

import csv
import io
import json
import re
import unicodedata
from datetime import timedelta
from html import unescape
from urllib.parse import quote, unquote

import httpx
import pytest

from care.consents import store as consent_store
from care.elders import problems, service, store
from care.elders.demo import SeededElder
from care.sheets import reading
from care.watching import store as watching
from dashboards.console.elders import words
from kernel import audit
from kernel.auth.model import Role
from tests.dashboards.elders.conftest import Person, SignIn, Site, text_of

NEW = {
    "name": "李建国",
    "id_number": "150102 19400101 1238",
    "division": "新城区 东风路街道",
    "address": "海东路88号3号楼2单元501室",
    "living_situation": "alone",
    "phones.0.number": "138-1234-5678",
    "phones.0.label": "手机",
    "lat": "40.8345",
    "lon": "111.7280",
    "languages": "晋语、普通话",
    "access_notes": "钥匙盒密码 4821",
}


async def post(site: Site, person: Person, path: str, data: dict[str, str]) -> httpx.Response:
    async with site.client(person) as client:
        return await client.post(path, data=data | {"_csrf": person.csrf})


async def register(site: Site, person: Person, **changes: str) -> str:
    """Register an elder through the form and return the path of the page."""
    answer = await post(site, person, "/console/elders", NEW | changes)
    assert answer.status_code == 303, text_of(answer.text)
    return str(answer.headers["location"]).split("/contacts")[0]


async def actions(site: Site, subject: str) -> list[str]:
    async with site.db.connection() as conn:
        found = await audit.search(conn, audit.AuditFilters(subject_id=subject))
    return [entry.action for entry in reversed(found.entries)]


async def test_the_list_counts_filters_pages_and_masks(
    site: Site, manager: Person, seeded: list[SeededElder]
) -> None:
    async with site.client(manager) as client:
        first = await client.get("/console/elders")
        second = await client.get("/console/elders?page=2")
        beyond = await client.get("/console/elders?page=99&sort=-age&living=nonsense&age=x")
        alone = await client.get("/console/elders?living=alone&state=incident")
        nobody = await client.get("/console/elders?q=没有这个人")
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
    several = await post(site, manager, "/console/search", {"q": "没有"})
    empty = await post(site, manager, "/console/search", {})
    assert several.headers["location"] == "/console/elders?q=%E6%B2%A1%E6%9C%89"
    assert empty.headers["location"] == "/console/elders"


async def found(site: Site, person: Person, query: str, **more: str) -> httpx.Response:
    """Search as the form does, and follow to the list."""
    answer = await post(site, person, "/console/elders/find", {"q": query} | more)
    assert answer.status_code == 303
    async with site.client(person) as client:
        return await client.get(answer.headers["location"])


async def test_no_number_of_a_person_gets_into_an_address(
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
        other = await client.get(theirs)
        broken = await client.get("/console/elders?q=~x")
    assert other.status_code == broken.status_code == 200
    assert "13812345678" not in other.text
    unknown = await post(site, manager, "/console/search", {"q": "13999999999"})
    assert "13999999999" not in unknown.headers["location"]


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


async def test_a_registration_leads_to_the_contacts_and_the_page_masks(
    site: Site, manager: Person
) -> None:
    path = await register(site, manager)
    answer = await post(
        site,
        manager,
        f"{path}/contacts",
        {
            "version": "1",
            "contacts.0.name": "李强",
            "contacts.0.relation": "son",
            "contacts.0.phone": "13900001111",
            "contacts.0.has_key": "1",
        },
    )
    assert answer.headers["location"] == f"{path}#contacts"
    async with site.client(manager) as client:
        page = await client.get(path)
    shown = text_of(page.text)
    for visible in ("李建国", "86 岁", "独居", "新城区 东风路街道", "138****5678", "139****1111",
                    "150102********1238", "儿子", "有钥匙", "晋语、普通话"):  # fmt: skip
        assert visible in shown
    for secret in ("13812345678", "13900001111", "150102194001011238", "501室", "4821"):
        assert secret not in page.text
    assert await actions(site, path.rsplit("/", 1)[1]) == [
        "elder.created",
        "elder.contacts_set",
        "elder.read",
    ]


async def test_each_secret_is_revealed_alone_and_recorded(site: Site, manager: Person) -> None:
    path = await register(site, manager)
    elder_id = path.rsplit("/", 1)[1]
    async with site.db.transaction() as tx:
        elder = await service.get(tx, site.cipher, manager.actor, elder_id, site.now)  # type: ignore[arg-type]
    expected = {
        "id_number": "150102194001011238",
        "address": NEW["address"],
        "access": NEW["access_notes"],
        f"phones?item={elder.phones[0].id}": "13812345678",
    }
    for secret, value in expected.items():
        answer = await post(site, manager, f"{path}/reveal/{secret}", {})
        assert answer.status_code == 200
        assert value in answer.text
        assert "<html" not in answer.text
    assert 'href="tel:13812345678"' in answer.text
    for nothing in ("medical", "phones", f"phones?item={elder_id}", "phones?item=x", "password"):
        answer = await post(site, manager, f"{path}/reveal/{nothing}", {})
        assert answer.status_code in {404, 422}
    assert (await actions(site, elder_id)).count("elder.revealed") == 4


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


async def test_a_wrong_form_keeps_what_was_typed_and_links_to_the_fields(
    site: Site, manager: Person
) -> None:
    wrong = NEW | {"name": "", "id_number": "123", "division": "火星", "lat": "x",
                   "phones.0.number": "1", "birth_date": "昨天"}  # fmt: skip
    answer = await post(site, manager, "/console/elders", wrong)
    assert answer.status_code == 422
    html = answer.text
    summary = html[html.index("error-summary") :]
    for field in ("name", "id_number", "division", "lat", "phones.0.number", "birth_date"):
        assert f'href="#{field}"' in summary
        assert f'id="{field}"' in html
        assert f'id="{field}-error"' in html
    assert NEW["address"] in html
    assert 'value="昨天"' in html
    assert html.count("没有这个区划") == 2


async def test_an_ambiguous_division_asks_for_the_district(site: Site, manager: Person) -> None:
    answer = await post(site, manager, "/console/elders", NEW | {"division": "富丽社区"})
    assert "有几个同名的区划" in answer.text
    async with site.client(manager) as client:
        found = await client.get("/console/elders/divisions", params={"division": "富丽"})
    assert found.text.count("<option") == 2
    assert 'value="回民区 光明路街道 富丽社区居委会"' in found.text


async def test_who_is_second_is_told_who_was_first_and_may_overwrite(
    site: Site, manager: Person, sign_in: SignIn
) -> None:
    path = await register(site, manager)
    boss = await sign_in("lijianguo", Role.SUPERVISOR, name="赵雷")
    await post(site, boss, f"{path}/edit", NEW | {"version": "1", "address": "新址1号"})
    mine = NEW | {"version": "1", "address": "我的地址9号"}
    refused = await post(site, manager, f"{path}/edit", mine)
    assert refused.status_code == 409
    html = refused.text
    assert "赵雷 先改了这份档案" in html
    assert "我的地址9号" in html
    assert 'name="version" value="2"' in html
    async with site.client(manager) as client:
        # What the button of the notice sends: the hidden field first, then its own value.
        fields = [(k, v) for k, v in (mine | {"_csrf": manager.csrf}).items()] + [("version", "2")]
        body = "&".join(f"{k}={quote(v)}" for k, v in fields)
        done = await client.post(
            f"{path}/edit",
            content=body,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    assert done.headers["location"] == path
    async with site.db.transaction() as tx:
        elder = await store.get(tx, site.cipher, path.rsplit("/", 1)[1])  # type: ignore[arg-type]
    assert elder is not None
    assert (elder.address, elder.version) == ("我的地址9号", 3)


async def test_the_buttons_of_the_contacts_only_rearrange_the_form(
    site: Site, manager: Person
) -> None:
    path = await register(site, manager)
    lines = {
        "version": "1",
        "elder_name": "李建国",
        "contacts.0.name": "李强",
        "contacts.0.relation": "son",
        "contacts.0.phone": "13900001111",
        "contacts.1.name": "张桂英",
        "contacts.1.relation": "neighbour",
        "contacts.1.phone": "15047110000",
    }
    for command, names in (
        ("down:0", ["张桂英", "李强"]),
        ("up:1", ["张桂英", "李强"]),
        ("remove:0", ["张桂英"]),
        ("add", ["李强", "张桂英", ""]),
        ("up:0", ["李强", "张桂英"]),
        ("nonsense", ["李强", "张桂英"]),
    ):
        answer = await post(site, manager, f"{path}/contacts", lines | {"rearrange": command})
        html = answer.text
        assert re.findall(r'name="contacts\.\d\.name" type="text" value="([^"]*)"', html) == names
    async with site.db.transaction() as tx:
        elder = await store.get(tx, site.cipher, path.rsplit("/", 1)[1])  # type: ignore[arg-type]
    assert elder is not None
    assert elder.contacts == ()


async def test_who_may_not_reveal_edits_without_seeing(
    site: Site, manager: Person, sign_in: SignIn
) -> None:
    path = await register(site, manager)
    elder_id = path.rsplit("/", 1)[1]
    await post(site, manager, f"{path}/contacts", {
        "version": "1", "contacts.0.name": "李强", "contacts.0.relation": "son",
        "contacts.0.phone": "13900001111", "contacts.1.name": "张桂英",
        "contacts.1.relation": "neighbour", "contacts.1.phone": "15047110000"})  # fmt: skip
    admin = await sign_in("admin", Role.ADMINISTRATOR)
    async with site.client(admin) as client:
        form = await client.get(f"{path}/edit")
        contacts = await client.get(f"{path}/contacts")
    for secret in ("13812345678", "150102194001011238", "501室", "4821", "13900001111"):
        assert secret not in form.text + contacts.text
    changed = {"version": "2", "name": "李建国强", "division": "回民区", "risk_notes": "听力差"}
    assert (await post(site, admin, f"{path}/edit", changed)).status_code == 303
    ids = re.findall(r'name="contacts\.\d\.id" value="([^"]+)"', contacts.text)
    turned = {
        "version": "3",
        "contacts.0.id": ids[1], "contacts.0.name": "张桂英", "contacts.0.relation": "neighbour",
        "contacts.0.phone": "", "contacts.1.id": ids[0], "contacts.1.name": "李强",
        "contacts.1.relation": "son", "contacts.1.phone": "",
    }  # fmt: skip
    assert (await post(site, admin, f"{path}/contacts", turned)).status_code == 303
    async with site.db.transaction() as tx:
        elder = await store.get(tx, site.cipher, elder_id)  # type: ignore[arg-type]
    assert elder is not None
    assert (elder.name, elder.address, elder.id_number) == (
        "李建国强", NEW["address"], "150102194001011238",
    )  # fmt: skip
    assert [one.phone for one in elder.contacts] == ["15047110000", "13900001111"]
    assert [one.number for one in elder.phones] == ["13812345678"]


async def test_limits_and_watch_settings_are_one_form(site: Site, manager: Person) -> None:
    path = await register(site, manager)
    elder_id = path.rsplit("/", 1)[1]
    wrong = {
        "version": "1", "elder_name": "李建国", "thresholds.heart_rate.high_major": "abc",
        "thresholds.spo2.low_critical": "95", "thresholds.spo2.low_major": "90",
        "watch.inactivity_day_min": "5", "watch.fence": "1", "watch.fence_lat": "40.8",
    }  # fmt: skip
    refused = await post(site, manager, f"{path}/watching", wrong)
    assert refused.status_code == 422
    for field in ("thresholds.heart_rate.high_major", "thresholds.spo2.low_critical",
                  "watch.inactivity_day_min", "watch.fence_radius_m"):  # fmt: skip
        assert f'href="#{field}"' in refused.text
    right = {
        "version": "1", "thresholds.spo2.low_major": "87", "thresholds.spo2.low_critical": "82",
        "watch.inactivity_day_min": "240", "watch.fence": "1", "watch.fence_lat": "40.8345",
        "watch.fence_lon": "111.728", "watch.fence_radius_m": "800",
        "watch.away_until": "2026-03-20",
    }  # fmt: skip
    assert (await post(site, manager, f"{path}/watching", right)).status_code == 303
    async with site.db.transaction() as tx:
        thresholds = await watching.thresholds_of(tx, [elder_id])  # type: ignore[list-item]
        watch = (await watching.watch_of(tx, [elder_id]))[0]  # type: ignore[list-item]
    assert [(one.metric, one.low_critical, one.low_major) for one in thresholds] == [
        ("spo2", 82, 87)
    ]
    assert (watch.inactivity_day_min, watch.fence_radius_m) == (240, 800)
    assert str(watch.away_until) == "2026-03-20 15:59:59+00:00"
    async with site.client(manager) as client:
        form = await client.get(f"{path}/watching")
        page = await client.get(path)
    assert 'value="2026-03-20"' in form.text
    assert "87 / 82" in text_of(page.text)
    assert "半径 800 米" in text_of(page.text)


async def test_notes_consents_and_archive_stand_on_one_timeline(
    site: Site, manager: Person, operator: Person
) -> None:
    path = await register(site, manager)
    await post(site, operator, f"{path}/notes", {"text": "电话回访：听得清楚。"})
    given = {"purpose": "location", "given_by": "李建国", "text_version": "2026-01"}
    await post(site, manager, f"{path}/consents", given)
    again = await post(site, manager, f"{path}/consents", given)
    assert again.status_code == 422
    assert "这项同意已经记录" in again.text
    empty = await post(site, operator, f"{path}/notes", {"text": " "})
    assert empty.status_code == 422
    async with site.db.transaction() as tx:
        consent = (await consent_store.consents_of(tx, path.rsplit("/", 1)[1]))[0]  # type: ignore[arg-type]
    withdrawn = await post(site, manager, f"{path}/consents/{consent.id}/withdraw", {})
    assert withdrawn.status_code == 303
    twice = await post(site, manager, f"{path}/consents/{consent.id}/withdraw", {})
    assert twice.status_code == 409
    await post(site, manager, f"{path}/archive", {"version": "1", "reason": "迁往北京"})
    async with site.client(manager) as client:
        page = await client.get(path)
        notes = await client.get(f"{path}/timeline?show=notes")
    shown = text_of(page.text)
    for line in (
        "电话回访：听得清楚。",
        "李建国 同意：位置信息",
        "撤回同意：位置信息",
        "迁往北京",
        "已归档",
    ):
        assert line in shown
    assert "电话回访" in notes.text
    assert "同意：" not in text_of(notes.text)
    restored = await post(site, manager, f"{path}/restore", {"version": "2"})
    assert restored.status_code == 303


async def test_the_timeline_goes_on_where_it_ended(
    site: Site, manager: Person, seeded: list[SeededElder]
) -> None:
    elder = seeded[3].id
    async with site.db.transaction() as tx:
        for number in range(70):
            at = site.now - timedelta(minutes=number // 3)
            await store.add_note(tx, elder, f"第{number}条", at, None)
    seen: list[str] = []
    path = f"/console/elders/{elder}/timeline?show=notes"
    async with site.client(manager) as client:
        while path:
            part = await client.get(path)
            seen += re.findall(r"第(\d+)条", part.text)
            more = re.search(r'hx-get="([^"]+before=[^"]+)"', part.text)
            path = more[1].replace("&amp;", "&") if more else ""
    assert len(seen) == len(set(seen)) == 70
    async with site.client(manager) as client:
        odd = await client.get(f"/console/elders/{elder}/timeline?before=rubbish&show=nonsense")
    assert odd.status_code == 200


async def test_the_timeline_shows_a_role_only_its_own_kinds(
    site: Site, manager: Person, sign_in: SignIn, seeded: list[SeededElder]
) -> None:
    path = f"/console/elders/{seeded[0].id}"
    await post(site, manager, f"{path}/notes", {"text": "一条备注"})
    officer = await sign_in("officer", Role.SUBSIDY_OFFICER)
    technician = await sign_in("batu", Role.DEVICE_TECHNICIAN)
    shown = {}
    for person in (manager, officer, technician):
        async with site.client(person) as client:
            shown[person.actor.username] = text_of((await client.get(path)).text)
    assert "在卫生间滑倒" in shown["sunli"]
    assert "一条备注" in shown["sunli"]
    for hidden in ("在卫生间滑倒", "一条备注", "W-0193", "心率过高"):
        assert hidden not in shown["officer"]
    assert "W-0193" in shown["batu"]
    assert "在卫生间滑倒" not in shown["batu"]


async def test_vital_signs_come_with_limits_gaps_and_alarms(
    site: Site, manager: Person, seeded: list[SeededElder]
) -> None:
    elder = seeded[0].id
    async with site.client(manager) as client:
        day = (await client.get(f"/console/elders/{elder}/vitals?hours=24")).json()
        one = (await client.get(f"/console/elders/{elder}/vitals?metric=spo2&hours=6")).json()
        month = (await client.get(f"/console/elders/{elder}/vitals?hours=720")).json()
        for hours in ("0", "99999", "x"):
            bad = await client.get(f"/console/elders/{elder}/vitals?hours={hours}")
            assert bad.status_code in {200, 422}
    assert [one["code"] for one in day["metrics"]] == ["heart_rate", "spo2", "blood_pressure"]
    heart = day["metrics"][0]
    assert (heart["unit"], len(heart["series"][0]["points"])) == ("次/分", 95)
    assert [line["value"] for line in heart["thresholds"]] == [50, 60, 120, 140]
    assert [line["code"] for line in day["metrics"][2]["series"]] == ["bp_systolic", "bp_diastolic"]
    assert [alarm["severity"] for alarm in day["alarms"]] == ["major", "major"]
    assert day["to"] - day["from"] == 24 * 3600 * 1000
    assert [one["code"] for one in one["metrics"]] == ["spo2"]
    assert month["metrics"][0]["code"] == "heart_rate"
    assert "elder.read" in await actions(site, str(elder))
    json.dumps(day)


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
