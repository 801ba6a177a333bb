"""What people do with responders, duty phones and policies, and what they may not."""

import re

import pytest

from devices.alarms import Severity
from hotline.contacts.model import PHONE
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.responders import store as responders
from kernel import audit
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import fetch_tuples, fetch_value
from kernel.ids import new_id
from tests.dashboards.devices.site import Site, Visitor

PEOPLE, PHONES, POLICIES = "/console/responders", "/console/duty-phones", "/console/escalation"
SIQIN = {
    "name": "斯琴", "phone": "139 4710 0001", "station": "海东路社区养老服务站",
    "division": "新城区", "skill-first_aid": "1",
}  # fmt: skip


async def add(visitor: Visitor, **changes: object) -> str:
    """Add a responder; return the address of their page."""
    await visitor.open(f"{PEOPLE}/new")
    answer = await visitor.submit(PEOPLE, **(SIQIN | changes))
    assert answer.status_code == 303, visitor.text
    await visitor.follow(answer)
    found = re.findall(rf'href="({PEOPLE}/[0-9a-f-]{{36}})"', visitor.page)
    return str(found[0])


async def actions(site: Site) -> list[str]:
    async with site.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT action FROM audit_log ORDER BY seq")
        assert (await audit.verify(conn)).ok
    return [row[0] for row in rows]


async def test_a_supervisor_adds_a_responder_who_can_then_be_put_on_duty(
    site: Site, chief: Visitor, cipher: FieldCipher
) -> None:
    page = await add(chief)
    assert "139****0001" in chief.text
    assert "13947100001" not in chief.page
    await chief.submit(f"{page}/duty", on_duty="1")
    async with site.db.connection() as conn:
        [one] = await responders.candidates(conn, new_id(), "1501")
    assert (one.name, one.skills, one.division_code) == ("斯琴", ["first_aid"], "150102000000")
    assert cipher.decrypt(PHONE, bytes(one.phone_enc)) == "13947100001"
    assert (await actions(site))[-2:] == ["responder.created", "responder.on_duty"]


async def test_an_edit_keeps_the_number_unless_a_new_one_is_typed(
    site: Site, chief: Visitor
) -> None:
    page = await add(chief)
    await chief.open(page)
    answer = await chief.submit(page, **(SIQIN | {"phone": "", "name": "斯琴高娃"}))
    assert answer.status_code == 303
    await chief.follow(answer)
    assert "斯琴高娃" in chief.text
    assert "139****0001" in chief.text


async def test_who_edits_an_old_version_is_told_and_nothing_is_overwritten(
    site: Site, chief: Visitor
) -> None:
    page = await add(chief)
    await chief.open(page)
    await chief.submit(page, **(SIQIN | {"name": "第一"}))
    answer = await chief.submit(page, **(SIQIN | {"name": "第二"}))
    assert answer.status_code == 409
    await chief.open(PEOPLE)
    assert "第一" in chief.text
    assert "第二" not in chief.text


async def test_a_refused_form_keeps_what_was_typed(chief: Visitor) -> None:
    await chief.open(f"{PEOPLE}/new")
    answer = await chief.submit(PEOPLE, **(SIQIN | {"phone": "abc", "name": ""}))
    assert answer.status_code == 422
    assert "电话号码为 3 到 15 位数字。" in chief.text
    assert "海东路社区养老服务站" in chief.page


async def test_another_division_is_neither_seen_nor_written(site: Site, chief: Visitor) -> None:
    page = await add(chief)
    other = await site.visitor("other", Role.SUPERVISOR, division="150103")
    await other.open(PEOPLE)
    assert "斯琴" not in other.text
    assert (await other.open(page)).status_code == 404
    assert (await other.submit(f"{page}/duty", on_duty="1")).status_code == 404
    assert (await other.submit(PEOPLE, **SIQIN)).status_code == 422
    answer = await other.submit(PHONES, name="值班", phone="12345", position="1", division="1501")
    assert answer.status_code == 422


async def test_an_operator_switches_duty_and_edits_nothing(site: Site, chief: Visitor) -> None:
    page = await add(chief)
    operator = await site.visitor("wangfang", Role.OPERATOR)
    await operator.open(PEOPLE)
    assert "添加处置人员" not in operator.text
    assert (await operator.submit(f"{page}/duty", on_duty="1")).status_code == 303
    for path in (f"{PEOPLE}/new", page, PHONES, POLICIES):
        assert (await operator.open(path)).status_code == 403
    assert (await operator.submit(page, **SIQIN)).status_code == 403


@pytest.mark.parametrize("role", [Role.DEVICE_TECHNICIAN, Role.CARE_MANAGER, Role.AUDITOR])
async def test_other_roles_see_nothing_of_it(site: Site, role: Role) -> None:
    visitor = await site.visitor("nobody", role)
    for path in (PEOPLE, PHONES, POLICIES):
        assert (await visitor.open(path)).status_code == 403


async def test_a_form_without_its_token_is_refused(chief: Visitor) -> None:
    assert (await chief.post(PEOPLE, data=SIQIN)).status_code == 403


async def test_duty_of_the_linked_account_takes_the_responder_along(
    site: Site, chief: Visitor
) -> None:
    person = await site.visitor("siqin", Role.RESPONDER, name="斯琴")
    await add(chief, user_id=person.actor.user_id)
    await person.submit("/account/duty", on_duty="true")
    async with site.db.connection() as conn:
        assert (await responders.all_of(conn))[0].on_duty
    await person.submit("/account/duty", on_duty="false")
    async with site.db.connection() as conn:
        assert not (await responders.all_of(conn))[0].on_duty
    await chief.open(f"{PEOPLE}/new")
    again = await chief.submit(PEOPLE, **(SIQIN | {"user_id": person.actor.user_id}))
    assert again.status_code == 422
    assert "这个账号已关联另一位处置人员。" in chief.text


async def test_who_is_disabled_is_off_duty_and_off_the_list(site: Site, chief: Visitor) -> None:
    page = await add(chief)
    await chief.submit(f"{page}/duty", on_duty="1")
    await chief.open(page)
    await chief.submit(page, **(SIQIN | {"disabled": "1"}))
    async with site.db.connection() as conn:
        assert await responders.all_of(conn) == []
    await chief.open(f"{PEOPLE}?state=disabled")
    assert "斯琴" in chief.text
    assert (await actions(site))[-1] == "responder.disabled"


async def test_a_duty_phone_is_set_changed_and_removed(site: Site, chief: Visitor) -> None:
    await chief.open(f"{PHONES}/new")
    fields = {
        "division": "1501", "position": "1", "name": "值班长电话", "phone": "13947100009",
        "user_id": chief.actor.user_id,
    }  # fmt: skip
    answer = await chief.submit(PHONES, **fields)
    assert answer.status_code == 303
    assert (await chief.submit(PHONES, **fields)).status_code == 422
    assert "这个顺序已有一部电话" in chief.text
    await chief.open(PHONES)
    assert "139****0009" in chief.text
    assert "李建国" in chief.text
    page = re.findall(rf'href="({PHONES}/[0-9a-f-]{{36}})"', chief.page)[0]
    await chief.open(page)
    changed = await chief.submit(page, **(fields | {"phone": "", "name": "夜班电话"}))
    assert changed.status_code == 303
    async with site.db.connection() as conn:
        [phone] = await escalation.duty_phones(conn, "150102003000")
    assert (phone.name, phone.user_id) == ("夜班电话", chief.actor.user_id)
    await chief.open(page)
    assert (await chief.submit(f"{page}/remove")).status_code == 303
    async with site.db.connection() as conn:
        assert await escalation.duty_phones(conn, "150102003000") == []


async def test_nobody_lets_a_phone_claim_in_the_name_of_an_account_above(
    site: Site, chief: Visitor
) -> None:
    local = await site.visitor("local", Role.SUPERVISOR, division="150102")
    await local.open(f"{PHONES}/new")
    answer = await local.submit(
        PHONES, division="150102", position="1", name="我", phone="13900000000",
        user_id=chief.actor.user_id,
    )  # fmt: skip
    assert answer.status_code == 422
    assert "这个账号不能在这个区域接警。" in local.text


async def test_defaults_are_shown_until_a_policy_is_set_and_again_when_it_is_removed(
    site: Site, chief: Visitor
) -> None:
    await chief.open(POLICIES)
    assert chief.text.count("默认") >= 4
    await chief.open(f"{POLICIES}/edit?severity=critical&division=1501")
    fields = {
        "severity": "critical", "division": "1501", "opened": "1501",
        "step-1-after": "20", "step-1-notify": "everyone", "step-2-after": "45",
        "step-2-notify": "duty_phone", "step-2-repeat": "3", "step-2-every": "90",
        "limit-acknowledged": "120", "answer": "90", "stale": "300",
    }  # fmt: skip
    wrong = await chief.submit(f"{POLICIES}/edit", **(fields | {"step-2-after": "10"}))
    assert wrong.status_code == 422
    assert "每一步都要比前一步晚。" in chief.text
    assert (await chief.submit(f"{POLICIES}/edit", **fields)).status_code == 303
    async with site.db.connection() as conn:
        stored = await escalation.policy_json(conn, "150102003000", Severity.CRITICAL)
    assert stored is not None
    policy = rules.parse_policy(stored)
    assert [(s.after_s, s.notify.value, s.repeat) for s in policy.steps] == [
        (20, "everyone", 0),
        (45, "duty_phone", 3),
    ]
    assert (
        await chief.submit(f"{POLICIES}/edit", **(fields | {"version": "0"}))
    ).status_code == 409
    await chief.open(f"{POLICIES}/edit?severity=critical&division=1501")
    gone = await chief.submit(f"{POLICIES}/remove", severity="critical", division="1501")
    assert gone.status_code == 303
    async with site.db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM escalation_policy") == 0
    assert (await actions(site))[-2:] == ["policy.saved", "policy.removed"]


async def test_a_critical_incident_cannot_be_left_without_anybody_at_night(chief: Visitor) -> None:
    await chief.open(f"{POLICIES}/edit?severity=critical&division=1501")
    answer = await chief.submit(
        f"{POLICIES}/edit", severity="critical", division="1501", opened="1501", answer="90",
        stale="300", **{"step-1-after": "30", "step-1-window": "08:00-20:00"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "紧急警情在 300 秒内要有一个不限时段的步骤。" in chief.text
