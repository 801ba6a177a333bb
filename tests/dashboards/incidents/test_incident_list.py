"""All incidents: filters that live in the URL, the count, pages, and the export."""

import csv
import io
import re

import httpx
import pytest

from devices.alarms import AlarmKind
from kernel.auth.model import Role
from kernel.db import fetch_tuples
from tests.dashboards.incidents.conftest import Seat, Site
from tests.dashboards.incidents.test_incident_page import advance
from tests.hotline.world import World

PATH = "/console/incidents"


@pytest.fixture
async def seat(site: Site, world: World) -> Seat:
    """Somebody with a resolved fall, a claimed call for help and a waiting smoke alarm."""
    seat = await site.login()
    fall = await world.opened(await world.elder("李秀英"), AlarmKind.FALL)
    await advance(world, fall, seat.actor, "resolve")
    await world.claimed(seat.actor, await world.elder("王淑珍"), kind=AlarmKind.SOS)
    await world.opened(await world.elder("张玉梅"), AlarmKind.SMOKE, test=True)
    return seat


async def names(seat: Seat, query: str = "") -> list[str]:
    """The elders in the table, sorted."""
    await seat.see(f"{PATH}{query}")
    table = re.search(r"<tbody.*?</tbody>", seat.html, re.S)
    return sorted(re.findall("李秀英|王淑珍|张玉梅", table[0])) if table else []


async def test_filters_are_the_url(seat: Seat, world: World) -> None:
    everybody = ["张玉梅", "李秀英", "王淑珍"]
    assert await names(seat) == everybody
    assert "共 3 条" in seat.text
    assert await names(seat, "?q=lxy") == ["李秀英"]
    assert 'value="lxy"' in seat.html
    assert await names(seat, "?status=unresolved") == ["张玉梅", "王淑珍"]
    assert await names(seat, "?status=acknowledged") == ["王淑珍"]
    assert await names(seat, "?kind=smoke") == ["张玉梅"]
    assert await names(seat, "?severity=major") == []
    assert "没有符合条件的警情" in seat.text
    assert await names(seat, "?resolution=founded") == ["李秀英"]
    assert await names(seat, "?test=no") == ["李秀英", "王淑珍"]
    assert await names(seat, "?from=2020-01-01&to=2020-12-31") == []
    assert await names(seat, "?from=2020-01-01&to=nonsense&page=-4&sort=DROP") == everybody
    assert await names(seat, "?page=99") == everybody


async def test_many_are_pages_with_a_count_that_keep_the_filters(site: Site, world: World) -> None:
    seat = await site.login()
    for _ in range(53):
        await world.opened(kind=AlarmKind.DEVICE_OFFLINE)
    await world.opened(kind=AlarmKind.FALL)
    text = await seat.see(f"{PATH}?kind=device_offline&sort=number")
    assert "共 53 条，第 1–50 条" in text
    found = re.search(r'href="([^"]*)" rel="next"', seat.html)
    assert found
    text = await seat.see(found[1].replace("&amp;", "&"))
    assert "第 51–53 条" in text
    assert "跌倒" not in re.sub(r"<option.*?</option>", "", seat.html.split("<tbody")[1])


async def test_the_list_is_that_of_the_division(site: Site, seat: Seat) -> None:
    del seat
    assert await names(await site.login("赵敏", division="150105")) == []


async def test_the_export_is_what_the_filters_find_and_is_audited(seat: Seat, world: World) -> None:
    await seat.see(f"{PATH}?status=resolved&q=lxy")
    found = re.search(r'href="(/console/incidents/export\.csv[^"]*)"', seat.html)
    assert found
    answer: httpx.Response = await seat.get(found[1].replace("&amp;", "&"))
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row["老人"], row["类型"], row["结果"], row["原因"]) for row in rows] == [
        ("李秀英", "跌倒", "属实", "已送医")
    ]
    async with world.db.connection() as conn:
        entries = await fetch_tuples(
            conn, "SELECT actor_name, detail FROM audit_log WHERE action = 'incident.exported'"
        )
    # The search text may be a name: it is not in the log.
    assert [tuple(entry) for entry in entries] == [
        (seat.actor.username, {"rows": 1, "status": "resolved"})
    ]


async def test_no_cell_of_the_export_is_a_formula(site: Site, world: World) -> None:
    seat = await site.login()
    incident = await world.opened(await world.elder("=HYPERLINK", contacts=0))
    await advance(world, incident, seat.actor, "claim")
    answer = await seat.get(f"{PATH}/export.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0]["老人"] == "'=HYPERLINK"


async def test_an_auditor_exports_nothing_here(site: Site) -> None:
    auditor = await site.login("审计员", Role.AUDITOR)
    assert (await auditor.get(f"{PATH}/export.csv")).status_code == 403


async def test_the_list_in_english(site: Site, seat: Seat) -> None:
    del seat
    english = await site.login("Anna", locale="en")
    text = await english.see(PATH)
    for wanted in ("All incidents", "Time to claim", "founded", "Elder or device"):
        assert wanted in text
