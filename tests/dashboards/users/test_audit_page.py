"""The audit log's page for the auditor."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest

from dashboards.console.audit.words import REASONS
from kernel import audit
from kernel.auth.model import Actor, Role
from kernel.db import Database
from kernel.ids import new_id
from tests.dashboards.users.conftest import Browser, Clock, MakeUser, Open

AUDIT = "/console/audit"
WANG = Actor(new_id(), "wangfang", "王芳", frozenset({Role.OPERATOR}), "1501")


@pytest.fixture
async def auditor(browser: Browser, make_user: MakeUser) -> Browser:
    await make_user("audit", Role.AUDITOR, division="15", name="审计员")
    await browser.log_in("audit")
    return browser


async def say(db: Database, clock: Clock, action: str = "elder.read", **changes: Any) -> None:
    values: dict[str, Any] = {
        "subject_type": "elder",
        "subject_id": "0198-e1",
        "division": "150102001000",
        "detail": {"fields": ["phone", "address"]},
        "now": clock.now,
    }
    async with db.transaction() as tx:
        await audit.record(tx, actor=WANG, action=action, **(values | changes))


async def tamper(db: Database, sql: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute(sql.encode())


def rows(browser: Browser) -> int:
    return len(re.findall(r'<th scope="row" class="number"', browser.page))


async def test_only_the_auditor_comes_in(
    open_browser: Open, make_user: MakeUser, auditor: Browser
) -> None:
    for number, role in enumerate(r for r in Role if r is not Role.AUDITOR):
        await make_user(f"person.{number}", role)
        other = open_browser()
        await other.log_in(f"person.{number}")
        for path in (AUDIT, f"{AUDIT}/export.csv"):
            assert (await other.open(path)).status_code == 403, role
    assert (await auditor.open(AUDIT)).status_code == 200


async def test_entries_are_shown_with_words_and_places(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    await say(db, clock)
    await auditor.open(AUDIT)
    assert "查看老人" in auditor.text
    assert 'title="内蒙古自治区 呼和浩特市 新城区 海拉尔东路街道"' in auditor.page
    assert "新城区 海拉尔东路街道" in auditor.text
    assert "项目 电话、住址" in auditor.text
    assert "链完整" in auditor.text


async def test_the_subject_leads_to_its_page_or_to_all_that_was_done_to_it(
    auditor: Browser, open_browser: Open, make_user: MakeUser, db: Database, clock: Clock
) -> None:
    await say(db, clock)
    await say(db, clock, subject_id="0198-e2")
    await auditor.open(AUDIT)
    assert 'href="/console/elders/0198-e1"' not in auditor.page
    await auditor.open(re.findall(r'href="(/console/audit\?q=0198-e1)"', auditor.page)[0])
    assert rows(auditor) == 1
    rail = auditor.page[auditor.page.index('<nav class="rail"') :].split("</nav>")[0]
    assert ('href="/console/audit"' in rail, "更多" in rail) == (True, False)
    await make_user("both", Role.AUDITOR, Role.OPERATOR)
    both = open_browser()
    await both.log_in("both")
    await both.open(AUDIT)
    assert 'href="/console/elders/0198-e1"' in both.page


DETAILS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("device.bound", {"elder_id": str(WANG.user_id), "room": "卧室"}, "房间 卧室"),
    ("device.unbound", {"reason": "deceased"}, "原因 老人去世"),
    ("device.test_started", {"until": "2026-03-05T15:00:00+00:00"}, "到何时 今天 23:00"),
    ("device.registered", {"profile": "sl-watch-1"}, "型号 健康手表 SL-W1"),
    ("device.command_requested", {"command": "ring"}, "指令名称 响铃"),
    ("device.alias_added", {"codec": "setracker", "address": "88"}, "协议中的名称 88"),
    ("elder.watch_set", {"fields": ["fence_lat", "fence_lon"]}, "项目 安全区域"),
    ("elder.thresholds_set", {"spo2": [85, 90.5, None, None]}, "血氧饱和度 85 / 90.5 / — / —"),
    ("elder.exported", {"by": ["phone"], "rows": 3, "whole_phones": True}, "含完整电话 是"),
    (
        "user.edited",
        {"roles": [["operator"], ["operator", "supervisor"]]},
        "角色 坐席 → 坐席、值班长",
    ),
    ("user.edited", {"divisions": ["1501", "150102"]}, "呼和浩特市 → 呼和浩特市 新城区"),
    ("policy.saved", {"steps": [{}, {}], "answer_s": 60}, "接听时限 1 分； 步骤 2 步"),
    ("policy.saved", {"limits": {"acknowledged": 180}}, "处置时限 已接警 3 分"),
    ("technical_alarm.shelve", {"kind": "tamper", "until": ""}, "报警 设备被拆动"),
    ("outbox.discarded", {"topic": "carrier.call", "attempts": 5}, "试过几次 5； 事项 拨打电话"),
    # What was searched for is not kept any more; of old entries it is not shown.
    ("dead_letter.replay_requested", {"text": "13812345678", "letters": 2}, "关键词 是"),
    ("dead_letter.replay_requested", {"text": True, "letters": 2}, "关键词 是"),
    # Older than the tables: shown as it is, whatever it is.
    ("device.bound", {"<b>x</b>": "<script>1</script>"}, "<b>x</b> <script>1</script>"),
    ("device.bound", {"colour": "red"}, "colour red"),
)


async def test_the_detail_is_told_in_words(auditor: Browser, db: Database, clock: Clock) -> None:
    for action, detail, _ in DETAILS:
        await say(db, clock, action, detail=detail)
    await auditor.open(AUDIT)
    assert [words for _, _, words in DETAILS if words not in auditor.text] == []
    assert "13812345678" not in auditor.page
    assert "<script>1" not in auditor.page


async def test_who_may_not_find_elders_has_no_search_on_the_bar(auditor: Browser) -> None:
    await auditor.open(AUDIT)
    assert 'action="/console/search"' not in auditor.page


async def test_filters_stay_in_the_url_and_days_are_those_in_china(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    await say(db, clock)
    await say(db, clock, "elder.revealed", subject_id="0198-e2", now=clock.now + timedelta(hours=3))
    await auditor.open(f"{AUDIT}?action=elder")
    assert rows(auditor) == 2
    await auditor.open(f"{AUDIT}?action=elder.revealed")
    assert rows(auditor) == 1
    # 22:03 and 01:03 in Shanghai lie on two days, in UTC on one.
    await auditor.open(f"{AUDIT}?from=2026-03-06&action=elder")
    assert rows(auditor) == 1
    await auditor.open(f"{AUDIT}?to=2026-03-05&action=elder")
    assert rows(auditor) == 1
    await auditor.open(f"{AUDIT}?q=0198-e2")
    assert rows(auditor) == 1
    assert 'value="0198-e2"' in auditor.page
    await auditor.open(f"{AUDIT}?from=rubbish&q=none")
    assert "没有符合条件的记录" in auditor.text


async def test_entries_of_other_divisions_are_not_shown(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    await say(db, clock, division="130102001000")
    await say(db, clock, "login.failed", division="")
    await auditor.open(f"{AUDIT}?action=elder")
    assert rows(auditor) == 0
    await auditor.open(f"{AUDIT}?action=login.failed")
    assert rows(auditor) == 0


async def test_a_long_log_is_paged(auditor: Browser, db: Database, clock: Clock) -> None:
    async with db.transaction() as tx:
        for number in range(120):
            await audit.record(
                tx, actor=WANG, action="elder.read", subject_type="elder", subject_id=str(number),
                division="1501", detail={}, now=clock.now,
            )  # fmt: skip
    await auditor.open(f"{AUDIT}?action=elder")
    assert rows(auditor) == 50
    assert 'data-total="120"' in auditor.page
    await auditor.open(f"{AUDIT}?action=elder&page=3")
    assert rows(auditor) == 20
    await auditor.open(f"{AUDIT}?action=elder&page=99")
    assert rows(auditor) == 20


async def test_a_broken_chain_is_said_loudly(auditor: Browser, db: Database, clock: Clock) -> None:
    for _ in range(3):
        await say(db, clock)
    await tamper(db, "UPDATE audit_log SET actor_name = 'lina' WHERE seq = 3")
    await auditor.open(AUDIT)
    assert 'data-chain="broken"' in auditor.page
    assert "链从第 3 条起不可信：记录被修改或插入" in auditor.text
    assert "立即联系系统管理员" in auditor.text


async def test_the_whole_chain_is_checked_by_the_button_and_written_down(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    await say(db, clock)
    await auditor.open(AUDIT)
    assert (await auditor.submit(f"{AUDIT}/verify")).status_code == 200
    assert "链完整，已核对" in auditor.text
    await auditor.open(f"{AUDIT}?action=audit.verified")
    assert rows(auditor) == 1
    auditor.page = ""
    assert (await auditor.submit(f"{AUDIT}/verify")).status_code == 403


async def test_the_export_has_every_entry_found_and_is_written_down(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    for number in range(3):
        await say(db, clock, subject_id=f"=cmd|' /C calc'!A{number}")
    await auditor.open(f"{AUDIT}?action=elder&from=2026-03-01")
    found = re.search(r'href="(/console/audit/export\.csv[^"]*)"', auditor.page)
    assert found
    response = await auditor.get(found[1].replace("&amp;", "&"))
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="audit-20260305-2203.csv"' in response.headers["content-disposition"]
    assert response.content.startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert [line["action"] for line in lines] == ["elder.read"] * 3
    assert lines[0]["subject_id"] == "'=cmd|' /C calc'!A2"
    assert lines[0]["detail"] == '{"fields":["phone","address"]}'
    assert len(lines[0]["hash"]) == 64
    await auditor.open(f"{AUDIT}?action=audit.exported")
    assert rows(auditor) == 1
    assert "起始日期 2026-03-01" in auditor.text


async def test_a_large_export_comes_piece_by_piece(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    async with db.transaction() as tx:
        for number in range(1203):
            await audit.record(
                tx, actor=WANG, action="elder.read", subject_type="elder", subject_id=str(number),
                division="1501", detail={}, now=clock.now + timedelta(seconds=number),
            )  # fmt: skip
    response = await auditor.get(f"{AUDIT}/export.csv?action=elder")
    lines = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert len(lines) == 1204
    assert [line[6] for line in lines[1:]] == [str(n) for n in range(1202, -1, -1)]


def test_every_finding_has_its_word(project: Any) -> None:
    source = (project / "kernel" / "audit.py").read_text("utf-8")
    reasons = re.findall(r'fail\([^"]*"([^"]+)"\)|, 0, "([^"]+)"\)', source)
    assert {one or other for one, other in reasons} == set(REASONS)


async def test_the_page_is_complete_in_english(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    await say(db, clock, division="1501")
    await auditor.open("/account")
    await auditor.submit("/preferences", locale="en")
    await auditor.open(AUDIT)
    left = re.sub(r"语言|中文|内蒙古自治区|呼和浩特市|审计员", "", auditor.text)
    assert re.findall(r"[一-鿿]+", left) == []


async def test_a_responder_without_an_account_is_named_as_one(
    auditor: Browser, db: Database, clock: Clock
) -> None:
    somebody = new_id()
    link = Actor(None, f"responder:{somebody}", "斯琴", frozenset(), "")
    async with db.transaction() as tx:
        await audit.record(
            tx, actor=link, action="dispatch.read", subject_type="incident",
            subject_id=str(new_id()), division="150102001000", detail={}, now=clock.now,
        )  # fmt: skip
    await auditor.open(AUDIT)
    assert f"处置人员 <code>{str(somebody)[-6:]}</code>" in auditor.page
