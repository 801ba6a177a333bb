"""One incident: what stands on its page, for whom, and what of it is in the audit log."""

import json
import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
from psycopg.types.json import Jsonb

from devices.alarms import AlarmKind
from devices.metrics import METRICS
from hotline.contacts import service as contacts
from hotline.contacts.model import AttemptStatus
from hotline.incidents import service
from hotline.incidents.model import Incident, Resolution
from hotline.responders import service as responders
from ingest.telemetry.model import ReadingRow
from ingest.telemetry.store import copy_readings
from kernel.auth.model import Actor, Role
from kernel.db import fetch_tuples
from tests.dashboards.incidents.conftest import Site
from tests.hotline.world import Person, World

PLAIN = ("兴安小区3号楼2单元501室", "密码 4071", "脑梗")


def at(incident: Incident) -> str:
    return f"/console/incidents/{incident.id}"


@pytest.fixture
async def elder(world: World) -> Person:
    return await world.elder("李秀英")


@pytest.fixture
async def fall(world: World, elder: Person) -> Incident:
    return await world.opened(elder, AlarmKind.FALL, device_no=await world.device(elder))


async def audited(world: World, action: str) -> list[tuple[str, dict[str, object]]]:
    """The entries of an action: who (username) and the detail."""
    async with world.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT actor_name, detail FROM audit_log WHERE action = %s ORDER BY seq",
            (action,),
        )
    return [(row[0], row[1]) for row in rows]


async def readers(world: World, action: str = "incident.read") -> list[str]:
    return [name for name, _ in await audited(world, action)]


async def test_the_operator_sees_who_what_where_and_what_now(
    site: Site, world: World, fall: Incident, elder: Person
) -> None:
    seat = await site.login()
    text = await seat.see(at(fall))
    for wanted in ("李秀英", "女", "独居", "新城区", *PLAIN, "风险 高血压，独居，听力差"):
        assert wanted in text
    for wanted in ("紧急 跌倒 等待", "报警仍在", "W-000", "卧室", "无人接警将于", "接警 A"):
        assert wanted in text
    # Numbers as people read them out, in the order in which they are called.
    places = [text.index(f"{n[:3]} {n[3:7]} {n[7:]}") for n in (elder.phone, *elder.contact_phones)]
    assert places == sorted(places)
    assert "李建华 子女" in text
    # One primary action, the next step.
    outside = re.sub(r"<dialog.*?</dialog>", "", seat.html, flags=re.S)
    assert outside.count("btn-primary") == 1
    assert "您是不是摔倒了" in seat.part("incident-questions")
    assert "跌倒报警，警情开始" in seat.part("incident-timeline")


@pytest.mark.parametrize(
    ("move", "primary"),
    [("", "接警"), ("claim", "派人"), ("send", "到场"), ("arrive", "结案")],
)
async def test_the_big_button_is_the_next_step_of_the_lifecycle(
    site: Site, world: World, fall: Incident, move: str, primary: str
) -> None:
    seat = await site.login()
    await advance(world, fall, seat.actor, move)
    await seat.see(at(fall))
    bar = seat.html[seat.html.index('id="incident-actions"') :]
    big = bar[bar.index("btn-primary btn-big") :]
    assert big[big.index("<span>") + 6 : big.index("</span>")] == primary


async def advance(world: World, incident: Incident, actor: Actor, until: str) -> Incident:
    """Claim, send somebody, arrive, resolve: as far as the word says."""
    steps = ["claim", "send", "arrive", "resolve"]
    for step in steps[: steps.index(until) + 1] if until else []:
        version = incident.version
        async with world.db.transaction() as tx:
            if step == "claim":
                await service.acknowledge(tx, incident.id, version, actor, world.now)
            elif step == "arrive":
                await service.on_scene(tx, incident.id, version, "", actor, world.now)
            elif step == "resolve":
                await service.resolve(
                    tx, incident.id, version, Resolution.FOUNDED, "已送医", actor, world.now
                )
        if step == "send":
            await world.sent(incident, await world.responder(), actor)
        incident = await world.incident(incident.id)
    return incident


async def test_a_flat_battery_is_not_driven_out_for(site: Site, world: World) -> None:
    seat = await site.login()
    incident = await world.opened(kind=AlarmKind.LOW_BATTERY)
    await advance(world, incident, seat.actor, "claim")
    await seat.see(at(incident))
    bar = seat.html[seat.html.index('id="incident-actions"') :]
    assert bar.index("btn-primary") < bar.index("结案") < bar.index("派人")


async def test_the_condition_that_is_over_and_the_repeats_are_said(
    site: Site, world: World, elder: Person, fall: Incident
) -> None:
    seat = await site.login()
    await world.react(
        await world.alarm(elder, AlarmKind.FALL, device_no=fall.device_no), world.later(5)
    )
    assert "第 2 次触发" in await seat.see(at(fall))
    async with world.db.transaction() as tx:
        await tx.execute("UPDATE incident SET condition_active = false")
    assert "报警已恢复" in await seat.see(at(fall))


async def test_what_else_the_same_elder_has_is_named(
    site: Site, world: World, elder: Person, fall: Incident
) -> None:
    seat = await site.login()
    assert "同一位老人另有" not in await seat.see(at(fall))
    other = await world.opened(elder, AlarmKind.SOS)
    assert "同一位老人另有： 求助 待处置" in await seat.see(at(fall))
    assert f'href="{at(other)}"' in seat.html


async def test_a_reading_that_rang_is_shown_with_its_limit(site: Site, world: World) -> None:
    seat = await site.login()
    alarm = await world.alarm(await world.elder(), AlarmKind.HEART_RATE_HIGH)
    async with world.db.transaction() as tx:
        await tx.execute(
            "UPDATE alarm SET detail = %s",
            (Jsonb({"metric": "heart_rate", "value": 146.0, "limit": 140}),),
        )
    incident = await world.react(alarm)
    assert "心率 146 次/分（界限 140）" in await seat.see(at(incident))


async def test_an_incident_of_another_division_does_not_exist(site: Site, fall: Incident) -> None:
    seat = await site.login(division="150105")
    for path in (at(fall), f"{at(fall)}/parts", f"{at(fall)}/vitals", f"{at(fall)}/markers"):
        await seat.see(path, 404)
    await seat.see(f"/console/incidents/{uuid.uuid4()}", 404)


async def test_who_must_not_see_incidents_does_not(site: Site, fall: Incident) -> None:
    for role in (Role.AUDITOR, Role.SUBSIDY_OFFICER, Role.DEVICE_TECHNICIAN):
        seat = await site.login(role.value, role)
        for path in ("/console", at(fall), "/console/incidents", "/console/incidents/export.csv"):
            assert (await seat.get(path)).status_code == 403


async def test_personal_data_is_masked_for_whom_the_work_does_not_need_it(
    site: Site, world: World, fall: Incident, elder: Person
) -> None:
    holder = await site.login("王芳")
    await advance(world, fall, holder.actor, "claim")
    for role, reveals in (
        (Role.OPERATOR, True), (Role.CARE_MANAGER, True), (Role.ADMINISTRATOR, False),
    ):  # fmt: skip
        seat = await site.login(role.value, role)
        text = await seat.see(at(fall))
        assert "李秀英" in text
        assert not [secret for secret in PLAIN if secret in text]
        number = elder.phone
        assert f"{number[:3]}****{number[-4:]}" in text
        assert number[3:7] + " " + number[7:] not in text
        assert "位置已隐藏" in text
        assert seat.has_form(f"{at(fall)}/reveal") is reveals
        assert not seat.has_form(f"{at(fall)}/call/elder")
    text = await holder.see(at(fall))
    assert all(secret in text for secret in PLAIN)


async def test_showing_everything_is_one_form_and_is_audited(
    site: Site, world: World, fall: Incident
) -> None:
    await advance(world, fall, (await site.login("王芳")).actor, "claim")
    seat = await site.login("孙丽", Role.CARE_MANAGER)
    await seat.see(at(fall))
    before = len(await audited(world, "elder.revealed"))
    text = await seat.fill(f"{at(fall)}/reveal")
    assert all(secret in text for secret in PLAIN)
    revealed = await audited(world, "elder.revealed")
    assert len(revealed) == before + 1
    assert revealed[-1] == (
        seat.actor.username, {"why": "incident", "number": fall.number}
    )  # fmt: skip
    admin = await site.login("管理员", Role.ADMINISTRATOR)
    answer = await admin.post(
        f"{at(fall)}/reveal", data={"_csrf": (await csrf_of(admin, at(fall)))}
    )
    assert answer.status_code == 403


async def csrf_of(seat: object, path: str) -> str:
    await seat.see(path)  # type: ignore[attr-defined]
    html: str = seat.html  # type: ignore[attr-defined]
    return html.split('name="csrf-token" content="')[1].split('"', maxsplit=1)[0]


async def test_a_resolved_incident_hides_what_nobody_needs_any_more(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    await advance(world, fall, seat.actor, "resolve")
    text = await seat.see(at(fall))
    assert not [secret for secret in PLAIN if secret in text]
    assert "属实" in text
    assert "已送医" in text
    assert seat.has_form(f"{at(fall)}/reveal")


async def test_opening_the_page_is_audited_and_its_refreshes_are_one_reading(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    await seat.see(at(fall))
    assert await readers(world) == [seat.actor.username]
    assert await readers(world, "elder.revealed") == [seat.actor.username]
    for _ in range(3):
        await seat.see(f"{at(fall)}/parts")
        assert (await seat.get(f"{at(fall)}/markers")).status_code == 200
    assert await readers(world) == [seat.actor.username]
    # Who asks for the parts alone has read the incident as well.
    other = await site.login("赵敏")
    await other.see(f"{at(fall)}/parts")
    assert await readers(world) == [seat.actor.username, other.actor.username]


async def test_calls_stand_with_the_person_and_their_outcome(
    site: Site, world: World, fall: Incident, elder: Person
) -> None:
    seat = await site.login()
    held = await advance(world, fall, seat.actor, "claim")
    async with world.db.transaction() as tx:
        first = await contacts.call_elder(tx, held.id, seat.actor, world.now)
        await contacts.attempt_progress(tx, str(first), AttemptStatus.NO_ANSWER, None, world.now)
        second = await contacts.call_contacts_in_order(tx, held.id, seat.actor, world.now)
        await contacts.attempt_progress(tx, str(second), AttemptStatus.COMPLETED, "2", world.now)
    await seat.see(at(fall))
    assert "无人接听" in seat.part("reach-elder")
    assert "已接通" in seat.part(f"reach-{elder.contact_ids[0]}")
    assert "按键：已出发" in seat.part(f"reach-{elder.contact_ids[0]}")


async def test_who_could_be_sent_stands_there_with_the_reasons(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    near = await world.responder("斯琴")
    await world.responder("马志强", phone="13947100002")
    async with world.db.transaction() as tx:
        await responders.report_position(tx, near, 40.8600, 111.6900, 12, world.now)
    await seat.see(at(fall))
    text = seat.part("dispatch-choices")
    assert text.index("斯琴") < text.index("马志强")
    assert "330 米" in text
    assert "约 2 分可到" in text
    assert "急救" in text
    assert "不会搀扶搬抬" in text
    assert "没有位置，按驻点：同一区县" in text
    # Who could go is on the map from the start; who has no position is not.
    markers = (await seat.get(f"{at(fall)}/markers")).json()
    assert [one["label"] for one in markers] == ["住处", "斯琴"]
    drawn = re.search(r'data-markers="([^"]*)"', seat.html)
    assert drawn
    assert json.loads(unescape(drawn[1])) == markers
    dispatched, _, _ = await world.sent(
        await advance(world, fall, seat.actor, "claim"), near, seat.actor
    )
    await seat.see(at(dispatched))
    assert "斯琴 已通知" in seat.part("incident-dispatches")
    markers = (await seat.get(f"{at(fall)}/markers")).json()
    assert {one["kind"] for one in markers} == {"home", "responder"}
    assert [one["detail"] for one in markers if one["label"] == "斯琴"] == ["已通知"]


async def test_the_chart_has_readings_limits_and_the_alarm(
    site: Site, world: World, elder: Person, fall: Incident
) -> None:
    seat = await site.login()
    assert fall.device_no
    async with world.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO device_binding (id, device_no, elder_id, room, bound_at)"
            " VALUES (gen_random_uuid(), %s, %s, '卧室', %s)",
            (fall.device_no, elder.id, world.later(-90_000)),
        )
        rows = [
            ReadingRow(world.now - timedelta(minutes=15 * n), fall.device_no,
                       METRICS["heart_rate"].id, 70 + n % 9)
            for n in range(1, 90)
        ]  # fmt: skip
        await copy_readings(tx, rows)
    data = (await seat.get(f"{at(fall)}/vitals")).json()
    (metric,) = data["metrics"]
    assert metric["label"] == "心率"
    assert len(metric["series"][0]["points"]) == 89
    assert {t["severity"] for t in metric["thresholds"]} == {"critical", "major"}
    assert [(one["label"], one["severity"]) for one in data["alarms"]] == [("跌倒", "critical")]
    assert data["to"] - data["from"] >= 24 * 3600 * 1000
    assert await audited(world, "elder.read") == [
        (seat.actor.username, {"part": "vitals", "hours": 24})
    ]  # fmt: skip
    admin = await site.login("管理员", Role.ADMINISTRATOR)
    assert (await admin.get(f"{at(fall)}/vitals")).status_code == 403


async def test_a_device_that_is_bound_to_nobody_has_a_page_too(site: Site, world: World) -> None:
    seat = await site.login()
    alarm = await world.alarm(None, AlarmKind.TAMPER, device_no=await world.device())
    incident = await world.react(alarm)
    text = await seat.see(at(incident))
    assert "这台设备没有绑定老人" in text
    assert "没有老人，就没有联系人" in text
    assert not seat.has_form(f"{at(incident)}/call/elder")
    assert (await seat.get(f"{at(incident)}/vitals")).status_code == 404


async def test_the_page_in_english_is_english(site: Site, world: World, fall: Incident) -> None:
    seat = await site.login(locale="en")
    text = await seat.see(at(fall))
    for wanted in ("Fall", "Claim A", "Questions to ask", "Did you fall?", "Lives alone",
                   "Contacts in their order", "Fall alarm, incident opened"):  # fmt: skip
        assert wanted in text
    english = [one for one in ("警情", "接警", "联系人", "时间线", "询问") if one in text]
    assert english == []
