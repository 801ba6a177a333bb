"""Every action through its form, as a browser without scripts sends it, and every refusal."""

import re
import uuid

import httpx
import pytest

from devices.alarms import AlarmKind
from hotline.contacts import service as contacts
from hotline.contacts.model import AttemptStatus
from hotline.incidents import service
from hotline.incidents.model import Incident, Resolution, Status
from kernel.auth.model import Role
from tests.dashboards.incidents.conftest import Seat, Site
from tests.dashboards.incidents.test_incident_page import advance, at
from tests.hotline.world import Person, World


async def test_the_whole_way_by_forms_alone(site: Site, world: World, fall: Incident) -> None:
    seat = await site.login()
    responder = await world.responder("斯琴")
    await seat.see("/console")
    await seat.see(at(fall))
    text = await seat.fill(f"{at(fall)}/acknowledge")
    assert "已接警" in text
    assert "接警人 王芳" in text
    await seat.fill(f"{at(fall)}/call/elder")
    assert "呼叫老人 李秀英" in await seat.fill(f"{at(fall)}/call/contacts")
    await seat.see(f"{at(fall)}?do=dispatch")
    assert "<dialog" in seat.html
    text = await seat.fill(f"{at(fall)}/dispatch", responder_id=str(responder))
    assert "派出 斯琴" in text
    await seat.see(f"{at(fall)}?do=on_scene")
    assert "有人到场：女儿张敏" in await seat.fill(f"{at(fall)}/on_scene", note="女儿张敏")
    await seat.see(f"{at(fall)}?do=resolve")
    text = await seat.fill(
        f"{at(fall)}/resolve", resolution="founded", reason="髋部疼痛，已由 120 送医"
    )
    assert "结案：属实。髋部疼痛，已由 120 送医" in text
    assert (await world.incident(fall.id)).status is Status.RESOLVED
    await seat.see(f"{at(fall)}?do=reopen")
    text = await seat.fill(f"{at(fall)}/reopen", reason="家属来电：老人又不舒服")
    assert "重新打开：家属来电：老人又不舒服" in text
    assert (await world.incident(fall.id)).acknowledged_by == seat.actor.user_id


@pytest.mark.parametrize("word", ["dispatch", "on_scene", "resolve", "reopen", "hand_over"])
async def test_without_scripts_a_form_stands_open_where_it_was_asked_for(
    site: Site, fall: Incident, word: str
) -> None:
    seat = await site.login()
    await seat.see(f"{at(fall)}?do={word}")
    assert re.findall(r'<dialog id="([\w-]+)"[^>]* open', seat.html) == [f"{word}-dialog"]
    await seat.see(f"{at(fall)}?do=nonsense")
    assert re.findall(r'<dialog id="([\w-]+)"[^>]* open', seat.html) == []


async def test_notes_and_answers_go_on_the_timeline(site: Site, fall: Incident) -> None:
    seat = await site.login()
    await seat.see(at(fall))
    assert "备注：已联系女儿" in await seat.fill(f"{at(fall)}/note", text="已联系女儿")
    await seat.fill(f"{at(fall)}/ask/1", answer="是本人，声音清楚")
    checklist = seat.part("incident-questions")
    assert "已问： 请先自报" in checklist
    assert "是本人，声音清楚" in checklist
    assert "询问：请先自报：12349 值班员" in seat.part("incident-timeline")
    # The next one is at hand; the third is ticked without an answer.
    assert seat.html.index('id="ask-answer"') > seat.html.index("您是不是摔倒了")
    await seat.fill(f"{at(fall)}/ask/3")
    assert not seat.has_form(f"{at(fall)}/ask/3")
    assert seat.has_form(f"{at(fall)}/ask/2")


async def test_a_colleague_s_answers_are_read_in_the_reader_s_language(
    site: Site, fall: Incident
) -> None:
    chinese, english = await site.login(), await site.login("Anna", locale="en")
    await chinese.see(at(fall))
    await chinese.fill(f"{at(fall)}/ask/2", answer="坐在地上")
    text = await english.see(at(fall))
    assert "Asked: Did you fall? Are you sitting, lying or standing now? Answer: 坐在地上" in text


async def test_giving_back_and_handing_over(site: Site, world: World, fall: Incident) -> None:
    seat, other = await site.login("王芳"), await site.login("赵敏")
    await advance(world, fall, seat.actor, "claim")
    await seat.see(f"{at(fall)}?do=hand_over")
    assert "赵敏 · 不在岗" in seat.text
    text = await seat.fill(f"{at(fall)}/hand_over", to=str(other.actor.user_id))
    assert "由 王芳 移交给 赵敏" in text
    assert not seat.has_form(f"{at(fall)}/release")
    await other.see(at(fall))
    assert "放回队列" in await other.fill(f"{at(fall)}/release")
    assert (await world.incident(fall.id)).status is Status.OPEN


async def test_a_supervisor_takes_over(site: Site, world: World, fall: Incident) -> None:
    await advance(world, fall, (await site.login("王芳")).actor, "claim")
    boss = await site.login("李建国", Role.SUPERVISOR)
    await boss.see(at(fall))
    assert "由 王芳 移交给 李建国" in await boss.fill(f"{at(fall)}/take")
    assert (await world.incident(fall.id)).acknowledged_by == boss.actor.user_id


async def test_withdrawing_a_responder(site: Site, world: World, fall: Incident) -> None:
    seat = await site.login()
    held = await advance(world, fall, seat.actor, "claim")
    _, dispatch_id, _ = await world.sent(held, await world.responder("斯琴"), seat.actor)
    await seat.see(at(fall))
    assert "撤回 斯琴" in await seat.fill(f"{at(fall)}/withdraw/{dispatch_id}")
    assert (await world.incident(fall.id)).status is Status.ACKNOWLEDGED


async def test_calling_one_contact_and_texting_another(
    site: Site, world: World, fall: Incident, elder: Person
) -> None:
    seat = await site.login()
    await seat.see(at(fall))
    await seat.fill(f"{at(fall)}/call/{elder.contact_ids[1]}")
    await seat.fill(f"{at(fall)}/text/{elder.contact_ids[2]}")
    assert await world.attempts(fall.id) == [
        ("call", "contact", "王淑兰", "queued"), ("sms", "contact", "陈志国", "queued"),
    ]  # fmt: skip
    assert "没有这位联系人" in await refused(seat, f"{at(fall)}/call/{uuid.uuid4()}", 404)


@pytest.mark.parametrize("what", ["call/elder", "call/contacts", "dispatch"])
async def test_who_acts_on_an_unclaimed_incident_has_it(
    site: Site, world: World, fall: Incident, what: str
) -> None:
    seat = await site.login()
    responder = await world.responder("斯琴")
    await seat.see(at(fall))
    await seat.fill(f"{at(fall)}/{what}", responder_id=str(responder))
    after = await world.incident(fall.id)
    assert after.acknowledged_by == seat.actor.user_id
    assert "已接警" in seat.part("incident-timeline")


# Refusals


async def refused(seat: Seat, path: str, status: int, **typed: str) -> str:
    """Send a form that the page does not offer; return what a person reads then."""
    incident = path.split("/")[3]
    html = (await seat.get(f"/console/incidents/{incident}")).text
    token = html.split('name="csrf-token" content="')[1].split('"')[0]
    answer = await seat.post(path, data={"_csrf": token, "version": "1"} | typed)
    assert answer.status_code == status, answer.text[:300]
    seat.html = answer.text
    return seat.text


async def test_the_loser_of_a_race_sees_the_winner_and_the_time_on_the_page(
    site: Site, world: World, fall: Incident
) -> None:
    first, second = await site.login("王芳"), await site.login("赵敏")
    await first.see(at(fall))
    await second.see(at(fall))
    await first.fill(f"{at(fall)}/acknowledge")
    text = await second.fill(f"{at(fall)}/acknowledge", status=409)
    assert "王芳 已在 今天" in text
    assert "接警。" in text
    assert "王芳 处置中" in text
    for what in ("call/elder", "dispatch"):
        lost = await refused(
            second, f"{at(fall)}/{what}", 403 if "call" in what else 409,
            responder_id=str(await world.responder("斯琴")),
        )  # fmt: skip
        assert "王芳" in lost
    assert (await world.incident(fall.id)).acknowledged_by == first.actor.user_id


async def test_what_is_somebody_else_s_is_refused_with_their_name(
    site: Site, world: World, fall: Incident
) -> None:
    await advance(world, fall, (await site.login("王芳")).actor, "claim")
    other = await site.login("赵敏")
    text = await refused(
        other, f"{at(fall)}/resolve", 403, version="2", resolution="founded", reason="好"
    )
    assert "这起警情由 王芳 处置中" in text


async def test_a_conflict_keeps_what_was_typed_and_the_second_try_works(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    held = await advance(world, fall, seat.actor, "claim")
    await seat.see(f"{at(fall)}?do=resolve")
    await world.sent(held, await world.responder("斯琴"), seat.actor)
    reason = "误按，已与老人本人确认平安"
    text = await seat.fill(f"{at(fall)}/resolve", status=409, resolution="unfounded", reason=reason)
    assert "派人。" in text
    assert f">{reason}</textarea>" in seat.html
    assert 'value="unfounded" checked' in seat.html
    await seat.fill(f"{at(fall)}/resolve", resolution="unfounded", reason=reason)
    assert (await world.incident(fall.id)).resolution is Resolution.UNFOUNDED


async def test_what_is_missing_is_said_in_place_and_nothing_typed_is_lost(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    await advance(world, fall, seat.actor, "claim")
    await seat.see(f"{at(fall)}?do=resolve")
    text = await seat.fill(f"{at(fall)}/resolve", status=422, reason="已送医")
    assert "请选择一种结果" in text
    assert ">已送医</textarea>" in seat.html
    text = await seat.fill(f"{at(fall)}/resolve", status=422, resolution="founded", reason=" ")
    assert "请写明原因" in text
    text = await seat.fill(f"{at(fall)}/note", status=422, text="  ")
    assert "请写几个字" in text
    text = await seat.fill(f"{at(fall)}/hand_over", status=422, to=str(uuid.uuid4()))
    assert "这位同事不能接手" in text
    text = await seat.fill(f"{at(fall)}/dispatch", status=422)
    assert "请选择一位处置人员" in text
    assert (await world.incident(fall.id)).version == 2


async def test_an_elder_without_a_phone_or_contacts_is_said_in_place(
    site: Site, world: World
) -> None:
    seat = await site.login()
    lonely = await world.opened(await world.elder("王淑珍", contacts=0))
    async with world.db.transaction() as tx:
        await tx.execute("DELETE FROM elder_phone")
    await seat.see(at(lonely))
    assert "没有登记老人的电话" in await seat.fill(f"{at(lonely)}/call/elder", status=404)
    assert "没有登记联系人，请呼叫老人" in await seat.fill(
        f"{at(lonely)}/call/contacts", status=404
    )
    # Nothing was half done: nobody has claimed it by that.
    assert (await world.incident(lonely.id)).status is Status.OPEN


async def test_contacts_are_not_called_twice_at_once(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    await seat.see(at(fall))
    await seat.fill(f"{at(fall)}/call/contacts")
    text = await seat.fill(f"{at(fall)}/call/contacts", status=409)
    assert "正在按顺序呼叫联系人" in text


async def test_nothing_is_called_for_a_resolved_incident(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    await advance(world, fall, seat.actor, "resolve")
    assert "结案" in await refused(seat, f"{at(fall)}/call/elder", 409, version="4")
    assert await world.attempts(fall.id) != []
    assert not [a for a in await world.attempts(fall.id) if a[1] == "elder"]


async def test_a_newer_incident_is_named_when_an_old_one_is_reopened(
    site: Site, world: World, fall: Incident, elder: Person
) -> None:
    seat = await site.login()
    await advance(world, fall, seat.actor, "resolve")
    newer = await world.opened(elder, AlarmKind.FALL)
    await seat.see(f"{at(fall)}?do=reopen")
    text = await seat.fill(f"{at(fall)}/reopen", status=409, reason="看错了")
    assert f"第 {newer.number} 号警情正在处置" in text
    assert ">看错了</textarea>" in seat.html


ACTIONS = (
    "acknowledge", "release", "take", "hand_over", "on_scene", "resolve", "reopen", "call/elder",
    "call/contacts", "dispatch", "note", "ask/1", "reveal",
)  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_form_without_its_token_does_nothing(
    site: Site, world: World, fall: Incident, action: str
) -> None:
    seat = await site.login()
    answer = await seat.post(f"{at(fall)}/{action}", data={"version": "1", "text": "x"})
    assert answer.status_code == 403
    after = await world.incident(fall.id)
    assert (after.version, after.status) == (1, Status.OPEN)


@pytest.mark.parametrize("action", ACTIONS)
async def test_another_division_s_incident_cannot_be_touched(
    site: Site, world: World, fall: Incident, action: str
) -> None:
    seat = await site.login(division="150105")
    await seat.see("/console")
    answer = await seat.post(
        f"{at(fall)}/{action}",
        data=seat.form("/account/duty") | {"version": "1", "text": "x", "reason": "x",
              "resolution": "founded", "to": str(seat.actor.user_id),
              "responder_id": str(uuid.uuid4())},
    )  # fmt: skip
    assert answer.status_code == 404
    assert (await world.incident(fall.id)).version == 1


async def test_who_only_reads_has_no_forms_and_is_refused(
    site: Site, world: World, fall: Incident
) -> None:
    manager = await site.login("孙丽", Role.CARE_MANAGER)
    await manager.see(at(fall))
    assert not [a for a in ACTIONS if a != "reveal" and manager.has_form(f"{at(fall)}/{a}")]
    assert "您没有这项权限" in await refused(manager, f"{at(fall)}/acknowledge", 403)


# As scripts send them


def as_script(seat: Seat) -> dict[str, str]:
    token = seat.html.split('name="csrf-token" content="')[1].split('"')[0]
    return {"HX-Request": "true", "X-CSRF-Token": token}


async def test_a_script_gets_the_parts_that_changed(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    await seat.see(at(fall))
    headers = as_script(seat)
    answer: httpx.Response = await seat.post(
        f"{at(fall)}/acknowledge", data={"version": "1"}, headers=headers, follow_redirects=True
    )
    assert answer.status_code == 200
    assert answer.text.count('hx-swap-oob="true"') >= 12
    assert "<html" not in answer.text
    assert 'id="incident-actions"' in answer.text
    assert '<input type="hidden" name="version" id="resolve-version" value="2"' in answer.text


async def test_a_script_gets_sentences_for_refusals(
    site: Site, world: World, fall: Incident
) -> None:
    seat, other = await site.login("王芳"), await site.login("赵敏")
    await seat.see(at(fall))
    await advance(world, fall, other.actor, "claim")
    headers = as_script(seat)
    lost = await seat.post(f"{at(fall)}/acknowledge", data={"version": "1"}, headers=headers)
    assert lost.status_code == 409
    assert "data-message" in lost.text
    assert "赵敏 已在 今天" in lost.text
    empty = await seat.post(f"{at(fall)}/note", data={"text": " "}, headers=headers)
    assert empty.status_code == 422
    assert 'id="note-notice"' in empty.text
    assert "请写几个字" in empty.text


# The demonstration


async def test_the_demonstration_picks_up_for_somebody(
    site: Site, world: World, fall: Incident, elder: Person
) -> None:
    seat = await site.login()
    held = await advance(world, fall, seat.actor, "claim")
    async with world.db.transaction() as tx:
        attempt = await contacts.call_contacts_in_order(tx, held.id, seat.actor, world.now)
        await contacts.attempt_progress(tx, str(attempt), AttemptStatus.RINGING, None, world.now)
    elsewhere = await site.login("赵敏", division="150105")
    await elsewhere.see("/console")
    answer = await elsewhere.post(
        f"{at(fall)}/demo/answer/{attempt}", data=elsewhere.form("/account/duty") | {"key": "1"}
    )
    assert answer.status_code == 404
    await seat.see(at(fall))
    await seat.fill(f"{at(fall)}/demo/answer/{attempt}", key="1")
    assert "按键：知晓" in seat.part(f"reach-{elder.contact_ids[0]}")
    text = await refused(seat, f"{at(fall)}/demo/answer/{uuid.uuid4()}", 404)
    assert "这个电话已经结束" in text


async def test_the_demonstration_asks_a_simulated_device_for_a_fall(
    site: Site, world: World
) -> None:
    seat = await site.login()
    await seat.see("/console")
    async with world.db.dedicated() as conn:
        await conn.execute("LISTEN demo")
        await seat.fill("/console/demo/alarm")
        async for notice in conn.notifies(timeout=30, stop_after=1):
            assert notice.payload == '{"do": "alarm", "kind": "fall"}'
    token = seat.form("/console/demo/alarm")["_csrf"]
    wrong = await seat.post("/console/demo/alarm", data={"_csrf": token, "kind": "earthquake"})
    assert wrong.status_code == 422


async def test_a_reason_in_words_of_two_people_stays_with_the_closing(
    site: Site, world: World, fall: Incident
) -> None:
    seat = await site.login()
    held = await advance(world, fall, seat.actor, "claim")
    async with world.db.transaction() as tx:
        await service.add_note(tx, held.id, "<b>现场</b> & 楼下", seat.actor, world.now)
    await seat.see(at(fall))
    assert "&lt;b&gt;现场&lt;/b&gt; &amp; 楼下" in seat.html


async def test_giving_back_is_an_order_on_the_button_and_a_fact_on_the_timeline(
    site: Site, world: World, fall: Incident
) -> None:
    visitor = await site.login("赵敏", locale="en")
    await advance(world, fall, visitor.actor, "claim")
    assert "Give back to the queue" in await visitor.see(at(fall))
    assert "Given back to the queue" in await visitor.fill(f"{at(fall)}/release")
