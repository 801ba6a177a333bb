"""Registering, revealing and editing an elder, over HTTP as a browser without scripts."""

import re
from urllib.parse import quote

from care.elders import service, store
from kernel.auth.model import Role
from tests.dashboards.elders.conftest import Person, SignIn, Site, text_of
from tests.dashboards.elders.filing import NEW, actions, post, register


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
        found = await client.get("/console/elders/divisions", params={"division": "富\0丽"})
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
