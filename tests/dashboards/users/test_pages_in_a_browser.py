"""Accounts and audit in a real browser: accessible, within the policy, nothing scrolls sideways."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from fastapi import Depends, FastAPI, Response
from playwright.async_api import Browser, BrowserContext, Page, expect

from dashboards.ui.assets import AssetFiles
from kernel import audit
from kernel.auth.model import Role
from kernel.auth.web import public
from kernel.clock import utcnow
from kernel.db import Database
from tests.dashboards.ui.watching import (
    accessibility_findings,
    collect_complaints,
    photograph,
    scrolls_sideways,
)
from tests.dashboards.users.conftest import PASSWORD, MakeUser
from tests.dashboards.users.test_audit_page import WANG
from tests.serving import listener, serving


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    """The application on a real socket; the queue beside the pages is empty."""

    @app.get("/console/queue", dependencies=[Depends(public)])
    async def queue() -> Response:
        return Response("<div data-queue data-count='0'></div>", media_type="text/html")

    app.mount("/assets", AssetFiles())
    on, address = listener()
    app.state.context = replace(app.state.context, public_url=address, secure_cookies=False)
    async with serving(app, on):
        yield address


@dataclass
class Seat:
    """A browser context and how it looks."""

    context: BrowserContext
    page: Page
    complaints: list[str]


async def sit_down(
    chromium: Browser, url: str, username: str, width: int = 1366, height: int = 768
) -> Seat:
    context = await chromium.new_context(
        base_url=url, viewport={"width": width, "height": height}, locale="zh-CN"
    )
    context.set_default_timeout(30_000)
    page = await context.new_page()
    complaints = collect_complaints(page)
    await page.goto("/login")
    await page.get_by_label("用户名").fill(username)
    await page.get_by_label("密码").fill(PASSWORD)
    await page.get_by_role("button", name="登录").click()
    await page.wait_for_url(lambda path: "/login" not in path)
    return Seat(context, page, complaints)


async def judge(seat: Seat, name: str) -> None:
    await seat.page.wait_for_selector("html[data-ready]", state="attached")
    await photograph(seat.page, name)
    before = len(seat.complaints)
    assert await accessibility_findings(seat.page) == []
    # axe-core styles elements of its own; that the policy refuses this is not about the page.
    del seat.complaints[before:]
    assert not await scrolls_sideways(seat.page)


def refused(seat: Seat) -> list[str]:
    # No feed and no start page here: their 404 is not what is looked at.
    expected = ("404", "401", "422")
    return [text for text in seat.complaints if not any(code in text for code in expected)]


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (683, 384)])
async def test_the_administrator_creates_and_edits_an_account(
    chromium: Browser, url: str, make_user: MakeUser, width: int, height: int
) -> None:
    await make_user("admin.city", Role.ADMINISTRATOR, name="系统管理员")
    await make_user("batu", Role.DEVICE_TECHNICIAN, Role.CARE_MANAGER, name="巴图孟克")
    seat = await sit_down(chromium, url, "admin.city", width, height)
    page, suffix = seat.page, f"-{width}"
    await page.goto("/console/staff")
    await judge(seat, f"staff{suffix}")
    # The page's entry lies in the closed menu, which says that one is in there.
    await expect(page.locator("summary.rail-link")).to_have_css("font-weight", "600")
    await page.get_by_role("link", name="新建账号").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("新建账号")
    await judge(seat, f"staff-new{suffix}")
    await page.get_by_label("用户名").fill("zhao.min")
    await page.get_by_label("姓名").fill("赵敏")
    await page.get_by_role("button", name="新建账号").click()
    await expect(page.locator(".error-summary")).to_be_focused()
    await judge(seat, f"staff-errors{suffix}")
    await page.get_by_label("坐席").check()
    await page.get_by_label("负责的区域").fill("新城区")
    await page.get_by_role("button", name="新建账号").click()
    await expect(page.locator("[data-secret]")).to_have_text(re.compile(r"^\w{4}-\w{4}-\w{4}$"))
    await judge(seat, f"staff-password{suffix}")
    await page.get_by_role("link", name="完成").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("赵敏")
    await judge(seat, f"staff-user{suffix}")
    await page.get_by_role("button", name="设为在岗").click()
    await expect(page.get_by_text("已设为在岗。")).to_be_visible()
    await page.get_by_role("button", name="重置密码").click()
    await page.get_by_role("dialog").get_by_role("button", name="重置密码").click()
    await expect(page.get_by_text("密码已重置，原来的登录都已退出")).to_be_visible()
    assert refused(seat) == []
    await seat.context.close()


async def test_the_auditor_reads_the_log(
    chromium: Browser, url: str, make_user: MakeUser, db: Database
) -> None:
    await make_user("audit", Role.AUDITOR, division="", name="审计员")
    async with db.transaction() as tx:
        for number in range(60):
            await audit.record(
                tx, actor=WANG, action="elder.read", subject_type="elder",
                subject_id=f"0198f0c2-0000-7000-8000-{number:012}", division="150102001001",
                detail={"fields": ["phone", "address", "medical_notes"]}, now=utcnow(),
            )  # fmt: skip
    seat = await sit_down(chromium, url, "audit")
    await seat.page.goto("/console/audit")
    await judge(seat, "audit")
    # The rail has nothing else for who audits: it stands there itself, not in a menu.
    await expect(seat.page.locator("a.rail-link")).to_have_css("font-weight", "600")
    await expect(seat.page.locator("summary.rail-link")).to_have_count(0)
    await seat.page.get_by_role("button", name="核对全部").click()
    await expect(seat.page.get_by_text("打开这一页时只核对最近的记录")).to_have_count(0)
    await expect(seat.page.get_by_text("链完整，已核对")).to_be_visible()
    await seat.page.get_by_label("操作", exact=True).select_option("elder.read")
    await seat.page.get_by_role("button", name="筛选").click()
    await expect(seat.page.locator("[data-total]")).to_have_attribute("data-total", "60")
    await judge(seat, "audit-filtered")
    assert refused(seat) == []
    await seat.context.close()


async def test_a_person_changes_looks_and_the_temporary_password(
    chromium: Browser, url: str, make_user: MakeUser
) -> None:
    await make_user("wangfang", must_change_password=True)
    seat = await sit_down(chromium, url, "wangfang")
    page = seat.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("请先修改临时密码")
    await judge(seat, "password-forced")
    await page.get_by_label("现在的密码").fill(PASSWORD)
    await page.get_by_label("新密码", exact=True).fill("five-camels-walk")
    await page.get_by_label("再输入一次新密码").fill("five-camels-walk")
    await page.get_by_role("button", name="修改密码").click()
    await page.wait_for_url("**/account?changed=password")
    await judge(seat, "account")
    await page.locator("#main").get_by_role("button", name="深色").click()
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    await judge(seat, "account-dark")
    await page.goto("/account/password")
    await judge(seat, "password")
    assert refused(seat) == []
    await seat.context.close()
