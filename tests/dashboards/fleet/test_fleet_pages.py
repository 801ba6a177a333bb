"""The fleet's pages over HTTP: who sees what, paging, filters, technical alarms, self-tests."""

import re
from datetime import timedelta

import pytest

from dashboards.console.devices import words as device_words
from dashboards.console.fleet import words
from devices.firmware.model import RolloutState, UpdateState
from devices.fleet.model import FleetState
from devices.technical.model import TechnicalState
from kernel.auth.model import Role
from kernel.db import fetch_tuples
from tests.dashboards.devices.site import Site, Visitor
from tests.dashboards.fleet.yard import furnish

ROOT = "/console/fleet"
LIST = "/console/devices"
PATHS = ("", "/counts", "/silent.json", "/alarms", "/self-tests", "/self-tests/print", "/firmware")
WRITERS = {Role.SUPERVISOR, Role.DEVICE_TECHNICIAN, Role.ADMINISTRATOR}


def test_every_code_has_a_word() -> None:
    codes = set(FleetState)
    assert set(words.FLEET_STATE) == set(words.FLEET_TONE) == set(words.IN_LIST) == codes
    assert set(words.ROLLOUT_STATE) == set(RolloutState) == set(words.ROLLOUT_TONE)
    assert set(words.UPDATE_STATE) == set(UpdateState) == set(words.UPDATE_TONE)
    assert set(device_words.TECHNICAL_STATE) == set(TechnicalState)
    assert set(device_words.TECHNICAL_TONE) == set(TechnicalState)


@pytest.mark.parametrize("role", Role)
async def test_technicians_supervisors_and_administrators_see_it_and_nobody_else(
    site: Site, role: Role
) -> None:
    visitor = await site.visitor("somebody", role)
    for path in PATHS:
        expected = 200 if role in WRITERS else 403
        assert (await visitor.open(ROOT + path)).status_code == expected, path


async def test_the_counters_say_how_the_fleet_is(site: Site, technician: Visitor) -> None:
    await furnish(site, technician.actor)
    await technician.open(ROOT)
    for words_and_number in ("在线 27", "静默 9", "测试中 1", "外出中 1", "维护中 1", "技术报警 6"):
        assert words_and_number in technician.text
    assert "外出模式" in technician.text
    assert "去北京女儿家过冬" in technician.text
    shares = [float(share) for share in re.findall(r"([\d.]+) %", technician.text)]
    assert shares
    assert all(0 < share <= 100 for share in shares)
    await technician.open(f"{ROOT}/counts")
    assert "<html" not in technician.page


@pytest.mark.parametrize("state", FleetState)
async def test_a_counter_leads_to_the_devices_that_it_counts(
    site: Site, technician: Visitor, state: FleetState
) -> None:
    await furnish(site, technician.actor)
    await technician.open(ROOT)
    word = words.FLEET_STATE[state]
    tile = re.search(
        rf'href="([^"]+)"><span class="tile-word">{word}</span>'
        r'<span class="tile-number">(\d+)<',
        technician.page,
    )
    assert tile
    await technician.open(tile[1].replace("&amp;", "&"))
    rows = re.findall(r'id="row-([^"]+)"', technician.page)
    assert len(rows) == int(tile[2])


async def test_the_list_is_paged_and_misses_nobody(site: Site, technician: Visitor) -> None:
    await furnish(site, technician.actor, 120)
    for order in ("id", "seen", "-battery"):
        seen: list[str] = []
        path = f"{LIST}?sort={order}"
        while path:
            await technician.open(path)
            seen += re.findall(r'id="row-([^"]+)"', technician.page)
            following = re.search(r'href="([^"]+)" rel="next"', technician.page)
            path = following[1].replace("&amp;", "&") if following else ""
        assert len(seen) == len(set(seen)) == 120, order
        if order == "id":
            assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("connection=offline", 9), ("connection=online", 27), ("unseen=1", 9), ("held=test", 1),
        ("held=1", 3), ("held=away&q=w-0001", 0), ("q=w-000", 9), ("q=xincheng-000193", 1),
        ("profile=sl-watch-1", 8), ("division=150104&connection=never", 0),
        ("state=nonsense&battery=x&unseen=-1&held=%00", 36), ("firmware=9.9.9", 0),
        ("battery=100", 36), ("battery=0", 0),
    ],
)  # fmt: skip
async def test_filters_narrow_the_list(
    site: Site, technician: Visitor, query: str, count: int
) -> None:
    await furnish(site, technician.actor)
    await technician.open(f"{LIST}?{query}")
    rows = re.findall(r'id="row-([^"]+)"', technician.page)
    assert len(rows) == count


async def test_who_looks_after_devices_sees_more_of_each(site: Site, technician: Visitor) -> None:
    await furnish(site, technician.actor)
    await technician.open(LIST)
    for word in ("24 小时在线率", "固件", "技术报警 1", "总览", "自检"):
        assert word in technician.text
    operator = await site.visitor("wangfang", Role.OPERATOR)
    await operator.open(LIST)
    assert len(re.findall(r'id="row-([^"]+)"', operator.page)) == 36
    for word in ("24 小时在线率", "固件", "技术报警", "总览", "自检"):
        assert word not in operator.text


async def test_one_sees_the_own_division_alone(
    site: Site, technician: Visitor, supervisor: Visitor
) -> None:
    await furnish(site, technician.actor)
    async with site.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT d.id FROM device d JOIN elder e ON e.id = d.elder_id"
            " WHERE starts_with(e.division_code, '150104') ORDER BY d.id",
        )
    mine = [row[0] for row in rows]
    assert 0 < len(mine) < 36
    await supervisor.open(f"{LIST}?division=150102")
    assert 'id="row-' not in supervisor.page
    await supervisor.open(LIST)
    assert re.findall(r'id="row-([^"]+)"', supervisor.page) == mine
    assert "玉泉区" in supervisor.text
    exported = (await supervisor.open(f"{LIST}/export.csv")).text.splitlines()
    assert len(exported) == 1 + len(mine)
    spots = (await supervisor.open(f"{ROOT}/silent.json")).json()["spots"]
    assert {spot[0] for spot in spots} <= set(mine)


async def test_the_export_has_everybody_in_the_order_of_the_list_and_is_in_the_log(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    await technician.open(f"{LIST}?connection=offline&sort=seen")
    shown = re.findall(r'id="row-([^"]+)"', technician.page)
    response = await technician.open(f"{LIST}/export.csv?connection=offline&sort=seen")
    lines = response.text.removeprefix("\ufeff").splitlines()
    assert lines[0].startswith("编号,型号,序列号,状态,老人姓名")
    assert [line.split(",")[0] for line in lines[1:]] == shown
    async with site.db.connection() as conn:
        [(action, rows)] = await fetch_tuples(
            conn, "SELECT action, detail ->> 'rows' FROM audit_log ORDER BY seq DESC LIMIT 1"
        )
    assert (action, rows) == ("device.exported", "9")


async def test_silent_devices_are_on_the_map_where_their_elders_live(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    answer = (await technician.open(f"{ROOT}/silent.json")).json()
    assert answer["complete"] is True
    assert len(answer["spots"]) == 9
    device_id, lat, lon, _, model = answer["spots"][0]
    assert 40 < lat < 42
    assert 110 < lon < 113
    assert device_id
    assert model
    assert answer["silent"] == 9
    await technician.open(ROOT)
    assert "现在没有静默的设备" not in technician.text


async def test_where_nothing_is_silent_a_sentence_stands_instead_of_the_map(
    site: Site, technician: Visitor
) -> None:
    await technician.open(ROOT)
    assert 'data-fleet-map data-state="empty"' in technician.page
    assert "现在没有静默的设备" in technician.text
    nowhere = {"spots": [], "complete": True, "silent": 0}
    assert (await technician.open(f"{ROOT}/silent.json")).json() == nowhere
    await furnish(site, technician.actor)
    async with site.db.transaction() as tx:
        await tx.execute("UPDATE elder SET lat = NULL, lon = NULL")
        await tx.execute("UPDATE device SET lat = NULL, lon = NULL")
    assert (await technician.open(f"{ROOT}/silent.json")).json() == nowhere | {"silent": 9}


async def test_a_connection_that_broke_a_moment_ago_makes_nobody_silent(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    async with site.db.transaction() as tx:
        await tx.execute(
            "UPDATE device SET online = false, last_seen_at = %s WHERE id = 'W-0000'",
            (site.clock.now - timedelta(seconds=30),),
        )
    for passed, silent in ((0, 9), (120, 10)):
        site.clock.advance(seconds=passed)
        await technician.open(f"{LIST}?connection=offline")
        assert f'data-total="{silent}"' in technician.page
        await technician.open(f"{LIST}?connection=online")
        assert f'data-total="{36 - silent}"' in technician.page
        answer = (await technician.open(f"{ROOT}/silent.json")).json()
        assert len(answer["spots"]) == silent
        await technician.open(f"{ROOT}/counts")
        assert f"静默 {silent} " in technician.text


async def test_every_tab_has_its_own_name(technician: Visitor) -> None:
    for path, name in (
        ("", "设备总览"), ("/alarms", "技术报警"),
        ("/self-tests", "自检"), ("/firmware", "固件"),
    ):  # fmt: skip
        await technician.open(ROOT + path)
        assert f"<h1>{name}</h1>" in technician.page


async def test_technical_alarms_are_acknowledged_put_aside_and_cleared(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    await technician.open(f"{ROOT}/alarms?kind=tamper")
    path = re.search(rf'href="({ROOT}/alarms/[0-9a-f-]+)"', technician.page)
    assert path
    await technician.open(path[1])
    for action, fields, sentence in (
        ("shelve", {"hours": "24"}, "请写明原因"),
        ("shelve", {"hours": "9999", "note": "等零件"}, "请选择搁置多久"),
        ("clear", {}, "请写明怎么处理的"),
    ):
        response = await technician.submit(f"{path[1]}/{action}", **fields)
        assert response.status_code == 422
        assert sentence in technician.text
    response = await technician.submit(f"{path[1]}/shelve", hours="24", note="等外壳")
    await technician.follow(response)
    assert "已搁置" in technician.text
    assert "等外壳" in technician.text
    # Who saw it before somebody else changed it is told.
    assert (
        await technician.submit(f"{path[1]}/clear", clear_note="x", version=1)
    ).status_code == 409
    assert (await technician.submit(f"{path[1]}/explode", version=2)).status_code == 404
    await technician.open(path[1])
    await technician.follow(await technician.submit(f"{path[1]}/clear", clear_note="换了外壳"))
    assert "已标为恢复" in technician.text
    await technician.open(f"{ROOT}/alarms?state=cleared")
    assert "换了外壳" in technician.text


async def test_what_stands_on_the_page_is_acknowledged_at_once(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    await technician.open(f"{ROOT}/alarms")
    assert "确认本页 6 条" in technician.text
    marks = re.search(r'name="alarms" value="([^"]+)"', technician.page)
    assert marks
    response = await technician.submit(f"{ROOT}/alarms/acknowledge", alarms=marks[1] + " nonsense")
    await technician.follow(response)
    assert "确认本页" not in technician.text
    await technician.open(f"{ROOT}/alarms?state=active")
    assert "没有这样的技术报警" in technician.text
    await technician.open(f"{ROOT}/alarms?state=acknowledged&before=nonsense")
    assert technician.text.count("巴图") >= 6


async def test_due_self_tests_are_listed_and_printed(site: Site, technician: Visitor) -> None:
    await furnish(site, technician.actor)
    await technician.open(f"{ROOT}/self-tests")
    # Bound forty days ago: watches, pendants, smoke detectors and gateways are ten days late.
    assert "逾期 10 天" in technician.text
    assert "W-0003" not in technician.text
    await technician.open(f"{ROOT}/self-tests/print?due=soon")
    assert "自检上门清单" in technician.text
    assert "W-0000" in technician.text
    site.clock.now += timedelta(minutes=20)
    async with site.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO device_self_test (id, device_no, at, kind)"
            " VALUES (gen_random_uuid(), 1, %s, 'sos')",
            (site.clock.now,),
        )
    await technician.open(f"{ROOT}/self-tests")
    assert "W-0000" not in technician.text


async def test_english_pages_have_no_chinese_but_names(site: Site) -> None:
    visitor = await site.visitor("smith", Role.DEVICE_TECHNICIAN, name="Smith", locale="en")
    for path in ("", "/alarms", "/self-tests", "/firmware"):
        await visitor.open(ROOT + path)
        assert set(re.findall("[\u4e00-\u9fff]+", visitor.text)) <= {"中文", "语言", "呼和浩特市"}
