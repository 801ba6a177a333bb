"""The dead letters' pages over HTTP: who reads, who acts, what is replayed and what is shown."""

import ast
import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from dashboards.console.deadletters import words
from dashboards.console.deadletters.payloads import MOST_HEX, MOST_TEXT, hex_lines, readable, shown
from dashboards.ui.i18n import translator
from devices.downlink import UNSAYABLE
from ingest.deadletters import store
from ingest.deadletters.model import DeadLetter
from kernel.auth.model import Role
from kernel.db import fetch_tuples, fetch_value
from tests.dashboards.deadletters.mailbag import Worker, draft, every_kind, put, vitals
from tests.dashboards.devices.site import Site, Visitor
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device

ROOT = "/console/dead-letters"
READERS = {Role.SUPERVISOR, Role.DEVICE_TECHNICIAN, Role.ADMINISTRATOR}
WRITERS = {Role.DEVICE_TECHNICIAN, Role.ADMINISTRATOR}


async def letter_of(site: Site, letter_id: uuid.UUID) -> DeadLetter:
    async with site.db.connection() as conn:
        found = await store.get(conn, letter_id)
    assert found is not None
    return found


@pytest.mark.parametrize("role", list(Role))
async def test_roles_decide_who_reads_and_who_acts(site: Site, role: Role) -> None:
    [letter] = await put(site.db, vitals("W-1", site.clock.now))
    visitor = await site.visitor("somebody", role)
    for path in ("", f"/{letter}", f"/{letter}/status"):
        response = await visitor.open(ROOT + path)
        assert response.status_code == (200 if role in READERS else 403), path
    if role in READERS - WRITERS:
        assert "丢弃" not in visitor.text
    for path in ("/replay", f"/{letter}/replay", f"/{letter}/discard"):
        response = await visitor.submit(ROOT + path)
        assert (response.status_code == 403) is (role not in WRITERS), path


async def test_nothing_is_done_without_the_token_of_the_session(
    site: Site, technician: Visitor
) -> None:
    [letter] = await put(site.db, vitals("W-1", site.clock.now))
    for path in ("/replay", f"/{letter}/replay", f"/{letter}/discard"):
        response = await technician.post(ROOT + path, data={"_csrf": "guess"})
        assert response.status_code == 403
    assert (await letter_of(site, letter)).status == "open"


async def test_the_list_says_why_in_a_sentence(site: Site, technician: Visitor) -> None:
    await put(site.db, *every_kind(site.clock.now))
    await technician.open(ROOT)
    for text in (
        "系统里没有登记这台设备", "内容不是完整的 JSON", "没有协议使用这个主题",
        "消息超过允许的大小",
        "处理时程序出错", "silverline/v1/W-0404/vitals", "8800000099", "MQTT", "TCP", "不完整",
        "共 7 条", "待处理 7", "重放全部 7 条",
    ):  # fmt: skip
        assert text in technician.text, text
    await technician.open(f"{ROOT}?reason=malformed_json&q=W-0193")
    assert "共 1 条" in technician.text
    assert "重放筛选出的 1 条" in technician.text
    await technician.open(f"{ROOT}?transport=tcp")
    assert "共 1 条" in technician.text
    for query in ("status=x&reason=%00&page=-4", "page=99999", "transport=pigeon", "q=%25"):
        assert (await technician.open(f"{ROOT}?{query}")).status_code == 200, query


async def test_letters_of_devices_elsewhere_are_hidden_those_of_nobody_are_not(
    site: Site, technician: Visitor
) -> None:
    now = site.clock.now
    async with site.db.transaction() as tx:
        await add_device(tx, technician.actor, now, "W-1", division=XINCHENG)
        await add_device(tx, technician.actor, now, "W-2", division=YUQUAN)
        await add_device(
            tx, technician.actor, now, "4G-1", profile="setracker-4g", division=XINCHENG,
            address="8800000015",
        )  # fmt: skip
    hidden = await put(
        site.db,
        draft(now, "silverline/v1/W-1/vitals", b"{", "malformed_json"),
        draft(now, "silverline/v1/W-1/vitals", b"{}", "unknown_device", address="W-9"),
        draft(
            now, "", b"[3G*", "truncated", transport="tcp", codec="setracker", address="8800000015"
        ),
    )
    seen = await put(
        site.db,
        draft(now, "silverline/v1/W-2/vitals", b"[", "malformed_json"),
        vitals("W-404", now),
    )
    near = await site.visitor("near", Role.DEVICE_TECHNICIAN, division="150104")
    await near.open(ROOT)
    assert "共 2 条" in near.text
    assert "待处理 2" in near.text
    for letter in hidden:
        for path in ("", "/status"):
            assert (await near.open(f"{ROOT}/{letter}{path}")).status_code == 404
        for path in ("/replay", "/discard"):
            assert (await near.submit(f"{ROOT}/{letter}{path}")).status_code == 404
    for letter in seen:
        assert (await near.open(f"{ROOT}/{letter}")).status_code == 200
    response = await near.submit(f"{ROOT}/replay")
    assert response.headers["location"] == f"{ROOT}?asked=2"
    assert {(await letter_of(site, letter)).status for letter in hidden} == {"open"}


async def test_an_unknown_device_is_registered_from_its_letter_and_made_up_for(
    site: Site, technician: Visitor
) -> None:
    now = site.clock.now
    [letter] = await put(site.db, vitals("P-0007", now, alarm="sos"))
    await technician.open(f"{ROOT}/{letter}")
    assert "登记这台设备" in technician.text
    await technician.open("/console/devices/new?device_id=P-0007")
    assert 'value="P-0007"' in technician.page
    response = await technician.submit(
        "/console/devices", device_id="P-0007", profile="sl-pendant-1", division_code=XINCHENG
    )
    assert response.status_code == 303
    await technician.open(f"{ROOT}/{letter}")
    assert 'href="/console/devices/P-0007"' in technician.page
    response = await technician.submit(f"{ROOT}/{letter}/replay")
    assert response.headers["location"] == f"{ROOT}/{letter}#status"
    await technician.open(f"{ROOT}/{letter}")
    assert "正在重放" in technician.text
    assert f'hx-get="{ROOT}/{letter}/status"' in technician.page
    worker = Worker(site.db)
    assert await worker.run() == 1
    await technician.open(f"{ROOT}/{letter}/status")
    assert "重放成功：1 条消息中新存入 1 条。" in technician.text
    assert "hx-trigger" not in technician.page
    assert [alarm.kind for alarm in worker.rang] == ["sos"]


async def test_a_replay_that_does_not_help_says_why(site: Site, technician: Visitor) -> None:
    [letter] = await put(site.db, vitals("W-404", site.clock.now))
    await technician.submit(f"{ROOT}/{letter}/replay")
    await Worker(site.db).run()
    await technician.open(f"{ROOT}/{letter}")
    assert "重放没有成功" in technician.text
    assert "仍不能用：系统里没有登记这台设备" in technician.text
    assert (await letter_of(site, letter)).status == "open"


async def test_everything_that_a_filter_finds_is_replayed(site: Site, technician: Visitor) -> None:
    now = site.clock.now
    async with site.db.transaction() as tx:
        await add_device(tx, technician.actor, now, "W-2")
    letters = await put(
        site.db, *(vitals("W-2", now + timedelta(seconds=n), seq=n) for n in range(4))
    )
    others = await put(
        site.db,
        draft(now, "silverline/v1/W-2/vitals", b"{", "malformed_json"),
        draft(now, "silverline/v1/W-2/vitals", b" " * 70_000, "oversized"),
    )
    response = await technician.submit(f"{ROOT}/replay", reason="unknown_device", q="W-2")
    assert response.headers["location"] == f"{ROOT}?q=W-2&reason=unknown_device&asked=4"
    await technician.follow(response)
    assert "已请求重放 4 条" in technician.text
    # Asking again finds nothing: they wait already.
    response = await technician.submit(f"{ROOT}/replay", reason="unknown_device")
    await technician.follow(response)
    assert "没有可以重放的消息" in technician.text
    assert await Worker(site.db).run() == 4
    assert {(await letter_of(site, one)).status for one in letters} == {"replayed"}
    assert {(await letter_of(site, one)).status for one in others} == {"open"}
    async with site.db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM reading") == 4
    # Of the rest, only the whole one can be asked for.
    response = await technician.submit(f"{ROOT}/replay")
    assert response.headers["location"] == f"{ROOT}?asked=1"


async def test_a_letter_of_which_only_the_beginning_was_kept_cannot_be_replayed(
    site: Site, technician: Visitor
) -> None:
    big = draft(site.clock.now, "silverline/v1/W-2/vitals", b"x" * 70_000, "oversized")
    [letter] = await put(site.db, big)
    await technician.open(f"{ROOT}/{letter}")
    assert "共 70,000 字节 · 只保留了前 65,536 字节，不能重放" in technician.text
    assert f"{ROOT}/{letter}/replay" not in technician.page
    assert (await technician.submit(f"{ROOT}/{letter}/replay")).status_code == 409


async def test_discarding_keeps_the_note_and_is_told_to_who_comes_too_late(
    site: Site, technician: Visitor
) -> None:
    [letter] = await put(site.db, vitals("W-404", site.clock.now))
    response = await technician.submit(f"{ROOT}/{letter}/discard", note="长" * 201)
    assert response.status_code == 422
    assert "备注最长 200 个字" in technician.text
    await technician.follow(
        await technician.submit(f"{ROOT}/{letter}/discard", note=" 已拆除\0<b> ")
    )
    assert "已拆除<b>" in technician.text
    assert "今天 22:03 · 巴图" in technician.text
    for path in ("replay", "discard"):
        response = await technician.submit(f"{ROOT}/{letter}/{path}")
        assert response.status_code == 409
        assert "这条消息已经处理过" in technician.text
        assert "现在的状态：已丢弃" in technician.text
    await technician.open(ROOT)
    assert "没有未解码消息" in technician.text
    await technician.open(f"{ROOT}?status=discarded")
    assert "共 1 条" in technician.text
    async with site.db.connection() as conn:
        log = await fetch_value(conn, "SELECT string_agg(detail::text, ' ') FROM audit_log")
    assert "已拆除" not in log


async def test_looks_and_deeds_are_on_record(site: Site, technician: Visitor) -> None:
    first, second = await put(
        site.db, vitals("W-404", site.clock.now), vitals("W-405", site.clock.now)
    )
    await technician.open(f"{ROOT}/{first}")
    await technician.open(f"{ROOT}/{first}/status")
    await technician.submit(f"{ROOT}/{first}/replay")
    await technician.submit(f"{ROOT}/{second}/discard")
    async with site.db.connection() as conn:
        entries = await fetch_tuples(
            conn,
            "SELECT action, subject_id, actor_name FROM audit_log"
            " WHERE subject_type = 'dead_letter' ORDER BY seq",
        )
    assert entries == [
        ("dead_letter.viewed", str(first), "batu"),
        ("dead_letter.replay_requested", str(first), "batu"),
        ("dead_letter.discarded", str(second), "batu"),
    ]


@pytest.mark.parametrize("path", ["nothing", "0", str(uuid.UUID(int=1)), "%00"])
async def test_an_address_that_is_no_letter_is_refused(technician: Visitor, path: str) -> None:
    assert (await technician.open(f"{ROOT}/{path}")).status_code in {404, 422}


async def test_a_payload_cannot_run_or_pretend(site: Site, technician: Visitor) -> None:
    nasty = "<script>alert(1)</script>\u202egnp.exe\0\x1b[31m".encode()
    [letter] = await put(site.db, draft(site.clock.now, "silverline/v1/W/<x>", nasty, "bad_type"))
    await technician.open(f"{ROOT}/{letter}")
    assert "<script>alert" not in technician.page
    assert "&lt;script&gt;alert(1)" in technician.page
    for mark in ("\u202e", "\0", "\x1b"):
        assert mark not in technician.page
    assert r"\x00\x1b[31m" in technician.page
    assert "3c 73 63 72 69 70 74 3e" in technician.page


def test_a_payload_is_shown_within_bounds() -> None:
    view = shown(bytes(range(256)) * 100)
    assert (view.text_bytes, view.hex_bytes, view.kept) == (MOST_TEXT, MOST_HEX, 25_600)
    assert len(view.hex.splitlines()) == MOST_HEX // 16
    assert shown(b"").hex == ""


def test_a_hex_dump_lines_up() -> None:
    lines = list(hex_lines(b"0123456789abcdef\xff\n|"))
    assert lines[0].startswith("0000  30 31 32")
    assert lines[0].endswith("|0123456789abcdef|")
    assert lines[1].startswith("0010  ff 0a 7c  ")
    assert lines[1].endswith("|..||")
    assert lines[0].index("|") == lines[1].index("|")


def test_text_that_is_cut_inside_of_a_letter_stays_readable() -> None:
    assert readable("设备".encode()[:-1]) == "设�"
    assert readable(b"a\r\nb\tc\r\x7f") == "a\nb\tc\\x0d\\x7f"


def reasons_in(project: Path) -> set[str]:
    """Return every reason that codecs and the pipeline give, read from their sources."""
    found: set[str] = set()
    folders = [project / "devices" / "codecs", project / "ingest"]
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if called in {"CodecError", "refuse", "letter"}:
                    values = node.args[:1]
                elif called == "Reject":
                    values = node.args[1:2]
            elif path.name in {"steps.py", "pipeline.py"} and isinstance(node, ast.Tuple):
                # (reason, sentence), as the check of who may speak returns it.
                sentence = len(node.elts) == 2 and isinstance(
                    node.elts[1], ast.JoinedStr | ast.Constant | ast.Name
                )
                values = node.elts[:1] if sentence else []
            found |= {str(v.value) for v in values if isinstance(v, ast.Constant)}
    return {reason for reason in found if re.fullmatch("[a-z_]+", reason)}


def test_every_reason_has_a_sentence(project: Path) -> None:
    found = reasons_in(project)
    assert {"unknown_device", "foreign_topic", "malformed_json", "truncated"} <= found
    # What cannot be said to a device is the end of a command, not of a letter.
    assert found - words.REASON.keys() - UNSAYABLE == set()


def test_the_result_of_a_replay_is_put_into_words() -> None:
    chinese = translator("zh")
    note = "0 of 2 messages stored; unknown_device: W-1 is not in the registry"
    assert words.replay_result(note, chinese) == (
        "2 条消息中新存入 0 条；仍不能用：系统里没有登记这台设备"
    )
    note = "0 of 0 messages stored; malformed_json: not JSON; really: no"
    assert words.replay_result(note, chinese) == "仍不能用：内容不是完整的 JSON"
    assert words.replay_result("1 of 1 messages stored", translator("en")) == (
        "1 of 1 messages newly stored"
    )
    assert words.replay_result("something else", chinese) == "something else"
    assert words.replay_result(None, chinese) == ""
