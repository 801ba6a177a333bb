"""The elders' pages in Chromium: as they look in both languages and every size, and by keyboard."""

import re
from pathlib import Path

from playwright.async_api import Request

from care.elders import store
from care.elders.demo import SeededElder
from care.sheets.writing import write_csv
from kernel import audit
from kernel.auth.model import Role
from tests.dashboards.elders.conftest import Browsing, Person, SignIn, Site
from tests.dashboards.ui.watching import (
    PHONE,
    WIDE,
    ZOOMED,
    accessibility_findings,
    look_over,
    photograph,
    settled,
)

PAGES = ("", "/new", "/import", "/{id}", "/{id}/edit", "/{id}/contacts", "/{id}/watching")


async def test_every_page_is_accessible_and_fits_in_every_size(
    manager: Person,
    sign_in: SignIn,
    seeded: list[SeededElder],
    browsing: Browsing,
) -> None:
    english = await sign_in("john", Role.CARE_MANAGER, name="John Smith", locale="en")
    paths = {}
    for tail in PAGES:
        name = tail.format(id="elder").strip("/").replace("/", "-") or "list"
        paths[name] = "/console/elders" + tail.format(id=seeded[0].id)
    chinese_page = await browsing.open(manager, "/console/elders")
    assert await look_over(chinese_page, paths, "elders/zh", (PHONE, ZOOMED, WIDE)) == []
    english_page = await browsing.open(english, "/console/elders")
    assert await look_over(english_page, paths, "elders/en", (ZOOMED, WIDE, PHONE)) == []


async def test_a_number_is_shown_by_keyboard_and_can_be_called(
    site: Site, operator: Person, seeded: list[SeededElder], browsing: Browsing
) -> None:
    elder = seeded[0]
    async with site.db.transaction() as tx:
        number = (await store.phones_of(tx, site.cipher, elder.id))[0].number
    page = await browsing.open(operator, f"/console/elders/{elder.id}")
    await settled(page)
    assert number not in await page.content()
    await page.get_by_role("button", name=re.compile("本人电话")).first.focus()
    await page.keyboard.press("Enter")
    call = page.locator(f'a[href="tel:{number}"]')
    await call.wait_for()
    assert number in await page.inner_text("#contacts")
    assert await accessibility_findings(page) == []
    async with site.db.connection() as conn:
        found = await audit.search(conn, audit.AuditFilters(action="elder.revealed"))
    assert [entry.facts["fields"] for entry in found.entries] == [["phones"]]


async def test_an_elder_is_registered_by_keyboard_alone(
    site: Site, manager: Person, browsing: Browsing
) -> None:
    page = await browsing.open(manager, "/console/elders")
    await settled(page)
    await page.keyboard.press("n")
    await page.wait_for_selector("h1:has-text('登记老人')")
    await page.focus("#name")
    await page.keyboard.type("单秀兰")
    await page.focus("#division")
    await page.keyboard.type("丽苑")
    await page.wait_for_selector(
        "#division-options option[value='新城区 东风路街道 丽苑社区居委会']", state="attached"
    )
    await page.fill("#division", "新城区 东风路街道 丽苑社区居委会")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("h1:has-text('紧急联系人')")
    await page.focus("[id='contacts.0.name']")
    await page.keyboard.type("李强")
    await page.focus("[id='contacts.0.phone']")
    await page.keyboard.type("13900001111")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("h1:has-text('单秀兰')")
    assert "李强" in await page.inner_text("#contacts")
    await page.keyboard.press("Escape")
    await page.wait_for_selector(".table")
    await page.keyboard.press("/")
    await page.keyboard.type("sxl")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("h1:has-text('单秀兰')")


async def test_a_refused_form_keeps_the_focus_on_the_summary(
    site: Site, manager: Person, browsing: Browsing
) -> None:
    page = await browsing.open(manager, "/console/elders/new")
    await settled(page)
    await page.fill("#name", "李秀英")
    await page.fill("#id_number", "150102194001011239")
    await page.get_by_role("button", name=re.compile("登记，接着填联系人")).click()
    await page.wait_for_selector(".error-summary")
    assert await page.evaluate("document.activeElement.className") == "error-summary"
    assert await page.input_value("#name") == "李秀英"
    # At the top: a link that is half under the bar while the page scrolls is no finding.
    await page.evaluate("scrollTo(0, 0)")
    assert await accessibility_findings(page) == []
    await photograph(page, "elders-new-refused")
    await page.click(".error-summary a >> text=身份证号")
    assert await page.evaluate("document.activeElement.id") == "id_number"


async def test_contacts_change_places_with_and_without_scripts(
    site: Site, manager: Person, seeded: list[SeededElder], browsing: Browsing
) -> None:
    async with site.db.transaction() as tx:
        many = [e for e in seeded if len(await store.contacts_of(tx, site.cipher, e.id)) >= 2]
        before = [one.name for one in await store.contacts_of(tx, site.cipher, many[0].id)]
    for scripts in (True, False):
        page = await browsing.open(
            manager, f"/console/elders/{many[0].id}/contacts", scripts=scripts
        )
        await page.get_by_role("button", name="第 1 位下移").click()
        await page.wait_for_function(
            "name => document.getElementById('contacts.0.name').value === name", arg=before[1]
        ) if scripts else await page.wait_for_load_state()
        await page.get_by_role("button", name=re.compile("保存联系人")).click()
        await page.wait_for_selector("#contacts")
        async with site.db.transaction() as tx:
            after = [one.name for one in await store.contacts_of(tx, site.cipher, many[0].id)]
        assert after == [before[1], before[0], *before[2:]]
        before = after


async def test_the_conflict_is_shown_in_the_form_and_can_be_overruled(
    site: Site, manager: Person, sign_in: SignIn, seeded: list[SeededElder], browsing: Browsing
) -> None:
    elder = seeded[1]
    other = await sign_in("zhaolei", Role.SUPERVISOR, name="赵雷")
    mine = await browsing.open(manager, f"/console/elders/{elder.id}/edit")
    theirs = await browsing.open(other, f"/console/elders/{elder.id}/edit")
    await settled(mine)
    await settled(theirs)
    await theirs.fill("#risk_notes", "赵雷写的")
    await theirs.get_by_role("button", name=re.compile("^ *保存")).first.click()
    await theirs.wait_for_selector("text=赵雷写的")
    await mine.fill("#risk_notes", "孙丽写的")
    await mine.get_by_role("button", name=re.compile("^ *保存")).first.click()
    await mine.wait_for_selector("text=赵雷 先改了这份档案")
    assert await mine.input_value("#risk_notes") == "孙丽写的"
    await mine.evaluate("scrollTo(0, 0)")
    assert await accessibility_findings(mine) == []
    await photograph(mine, "elders-edit-conflict")
    await mine.get_by_role("button", name="用我填写的内容覆盖").click()
    await mine.wait_for_selector("h1:has-text('" + elder.name + "')")
    assert "孙丽写的" in await mine.inner_text("#page")


async def test_the_timeline_changes_its_kind_in_place(
    site: Site, manager: Person, seeded: list[SeededElder], browsing: Browsing
) -> None:
    page = await browsing.open(manager, f"/console/elders/{seeded[0].id}")
    await settled(page)
    await page.fill("#text", "更换了手表表带")
    await page.get_by_role("button", name="保存备注").click()
    await page.wait_for_selector("#timeline-part >> text=更换了手表表带")
    await page.click("#timeline-part .tabs >> text=设备")
    await page.wait_for_selector("#timeline-part [aria-current=page] >> text=设备")
    shown = await page.inner_text("#timeline-part")
    assert "W-0193" in shown
    assert "更换了手表表带" not in shown
    assert page.url.endswith(str(seeded[0].id)) or "#timeline" in page.url


async def test_a_list_is_imported_in_the_browser(
    site: Site, manager: Person, browsing: Browsing, tmp_path: Path
) -> None:
    file = tmp_path / "名册.csv"
    rows = [["李秀英", "新城区", "13812345678"], ["王芳", "火星", "1"]]
    file.write_bytes(write_csv(["姓名", "行政区划", "电话"], rows))
    page = await browsing.open(manager, "/console/elders/import")
    await settled(page)
    await page.set_input_files("#file", file)
    await page.get_by_role("button", name=re.compile("上传并核对")).click()
    await page.wait_for_selector("text=2 行里有 1 行有问题")
    assert await accessibility_findings(page) == []
    await photograph(page, "elders-import-wrong", whole=True)
    file.write_bytes(write_csv(["姓名", "行政区划", "电话"], rows[:1]))
    await page.get_by_role("link", name=re.compile("换一个文件")).click()
    await page.set_input_files("#file", file)
    await page.get_by_role("button", name=re.compile("上传并核对")).click()
    await page.get_by_role("button", name=re.compile("确认导入 1 位")).click()
    await page.wait_for_selector("text=已导入 1 位老人")
    assert await accessibility_findings(page) == []
    await photograph(page, "elders-import-done", whole=True)


async def test_a_number_is_found_and_stays_out_of_address_and_history(
    site: Site, manager: Person, seeded: list[SeededElder], browsing: Browsing
) -> None:
    """In the list and from the top bar, with scripts and without."""
    async with site.db.transaction() as tx:
        number = (await store.phones_of(tx, site.cipher, seeded[0].id))[0].number
    seen: list[str] = []

    def note(request: Request) -> None:
        seen.append(request.url)

    for scripts in (True, False):
        page = await browsing.open(manager, "/console/elders", scripts=scripts)
        page.on("request", note)
        await page.fill("#elder-search", number)
        await page.select_option("#living", "")
        await page.get_by_role("button", name="筛选").click()
        await page.wait_for_selector('[data-total="1"]')
        assert await page.input_value("#elder-search") == number
        assert "?q=~" in page.url
        await page.reload()
        await page.wait_for_selector('[data-total="1"]')
        await page.get_by_role("link", name="清除").click()
        await page.wait_for_selector('[data-total="60"]')
        await page.go_back()
        await page.wait_for_selector('[data-total="1"]')
        await page.fill("#topsearch", number)
        await page.press("#topsearch", "Enter")
        await page.wait_for_url(f"**/console/elders/{seeded[0].id}")
    assert seen
    assert [address for address in seen if number in address] == []
