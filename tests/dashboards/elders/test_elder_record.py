"""Limits, notes, the timeline and vital signs of an elder, over HTTP."""

import json
import re
from datetime import timedelta

from care.consents import store as consent_store
from care.elders import store
from care.elders.demo import SeededElder
from care.watching import store as watching
from kernel.auth.model import Role
from tests.dashboards.elders.conftest import Person, SignIn, Site, text_of
from tests.dashboards.elders.filing import actions, post, register


async def test_limits_and_watch_settings_are_one_form(site: Site, manager: Person) -> None:
    path = await register(site, manager)
    elder_id = path.rsplit("/", 1)[1]
    wrong = {
        "version": "1", "elder_name": "李建国", "thresholds.heart_rate.high_major": "abc",
        "thresholds.spo2.low_critical": "95", "thresholds.spo2.low_major": "90",
        "watch.inactivity_day_min": "5", "watch.fence": "1", "watch.fence_lat": "40.8",
    }  # fmt: skip
    refused = await post(site, manager, f"{path}/watching", wrong)
    assert refused.status_code == 422
    for field in ("thresholds.heart_rate.high_major", "thresholds.spo2.low_critical",
                  "watch.inactivity_day_min", "watch.fence_radius_m"):  # fmt: skip
        assert f'href="#{field}"' in refused.text
    assert (await post(site, manager, f"{path}/watching", {})).status_code == 409
    right = {
        "version": "1", "thresholds.spo2.low_major": "87", "thresholds.spo2.low_critical": "82",
        "watch.inactivity_day_min": "240", "watch.fence": "1", "watch.fence_lat": "40.8345",
        "watch.fence_lon": "111.728", "watch.fence_radius_m": "800",
        "watch.away_until": "2026-03-20",
    }  # fmt: skip
    assert (await post(site, manager, f"{path}/watching", right)).status_code == 303
    async with site.db.transaction() as tx:
        thresholds = await watching.thresholds_of(tx, [elder_id])  # type: ignore[list-item]
        watch = (await watching.watch_of(tx, [elder_id]))[0]  # type: ignore[list-item]
    assert [(one.metric, one.low_critical, one.low_major) for one in thresholds] == [
        ("spo2", 82, 87)
    ]
    assert (watch.inactivity_day_min, watch.fence_radius_m) == (240, 800)
    assert str(watch.away_until) == "2026-03-20 15:59:59+00:00"
    async with site.client(manager) as client:
        form = await client.get(f"{path}/watching")
        page = await client.get(path)
    assert 'value="2026-03-20"' in form.text
    assert "87 / 82" in text_of(page.text)
    assert "半径 800 米" in text_of(page.text)


async def test_notes_consents_and_archive_stand_on_one_timeline(
    site: Site, manager: Person, operator: Person
) -> None:
    path = await register(site, manager)
    await post(site, operator, f"{path}/notes", {"text": "电话回访：听得清楚。"})
    given = {"purpose": "location", "given_by": "李建国", "text_version": "2026-01"}
    await post(site, manager, f"{path}/consents", given)
    again = await post(site, manager, f"{path}/consents", given)
    assert again.status_code == 422
    assert "这项同意已经记录" in again.text
    empty = await post(site, operator, f"{path}/notes", {"text": " "})
    assert empty.status_code == 422
    async with site.db.transaction() as tx:
        consent = (await consent_store.consents_of(tx, path.rsplit("/", 1)[1]))[0]  # type: ignore[arg-type]
    withdrawn = await post(site, manager, f"{path}/consents/{consent.id}/withdraw", {})
    assert withdrawn.status_code == 303
    twice = await post(site, manager, f"{path}/consents/{consent.id}/withdraw", {})
    assert twice.status_code == 409
    await post(site, manager, f"{path}/archive", {"version": "1", "reason": "迁往北京"})
    async with site.client(manager) as client:
        page = await client.get(path)
        notes = await client.get(f"{path}/timeline?show=notes")
    shown = text_of(page.text)
    for line in (
        "电话回访：听得清楚。",
        "李建国 同意：位置信息",
        "撤回同意：位置信息",
        "迁往北京",
        "已归档",
    ):
        assert line in shown
    assert "电话回访" in notes.text
    assert "同意：" not in text_of(notes.text)
    restored = await post(site, manager, f"{path}/restore", {"version": "2"})
    assert restored.status_code == 303


async def test_the_timeline_goes_on_where_it_ended(
    site: Site, manager: Person, seeded: list[SeededElder]
) -> None:
    elder = seeded[3].id
    async with site.db.transaction() as tx:
        for number in range(70):
            at = site.now - timedelta(minutes=number // 3)
            await store.add_note(tx, elder, f"第{number}条", at, None)
    seen: list[str] = []
    path = f"/console/elders/{elder}/timeline?show=notes"
    async with site.client(manager) as client:
        while path:
            part = await client.get(path)
            seen += re.findall(r"第(\d+)条", part.text)
            more = re.search(r'hx-get="([^"]+before=[^"]+)"', part.text)
            path = more[1].replace("&amp;", "&") if more else ""
    assert len(seen) == len(set(seen)) == 70
    async with site.client(manager) as client:
        odd = await client.get(f"/console/elders/{elder}/timeline?before=rubbish&show=nonsense")
    assert odd.status_code == 200


async def test_the_timeline_shows_a_role_only_its_own_kinds(
    site: Site, manager: Person, sign_in: SignIn, seeded: list[SeededElder]
) -> None:
    path = f"/console/elders/{seeded[0].id}"
    await post(site, manager, f"{path}/notes", {"text": "一条备注"})
    officer = await sign_in("officer", Role.SUBSIDY_OFFICER)
    technician = await sign_in("batu", Role.DEVICE_TECHNICIAN)
    shown = {}
    for person in (manager, officer, technician):
        async with site.client(person) as client:
            shown[person.actor.username] = text_of((await client.get(path)).text)
    assert "在卫生间滑倒" in shown["sunli"]
    assert "一条备注" in shown["sunli"]
    for hidden in ("在卫生间滑倒", "一条备注", "W-0193", "心率过高"):
        assert hidden not in shown["officer"]
    assert "W-0193" in shown["batu"]
    assert "在卫生间滑倒" not in shown["batu"]


async def test_vital_signs_come_with_limits_gaps_and_alarms(
    site: Site, manager: Person, seeded: list[SeededElder]
) -> None:
    elder = seeded[0].id
    async with site.client(manager) as client:
        day = (await client.get(f"/console/elders/{elder}/vitals?hours=24")).json()
        one = (await client.get(f"/console/elders/{elder}/vitals?metric=spo2&hours=6")).json()
        month = (await client.get(f"/console/elders/{elder}/vitals?hours=720")).json()
        for hours in ("0", "99999", "x"):
            bad = await client.get(f"/console/elders/{elder}/vitals?hours={hours}")
            assert bad.status_code in {200, 422}
    assert [one["code"] for one in day["metrics"]] == ["heart_rate", "spo2", "blood_pressure"]
    heart = day["metrics"][0]
    assert (heart["unit"], len(heart["series"][0]["points"])) == ("次/分", 95)
    assert [line["value"] for line in heart["thresholds"]] == [50, 60, 120, 140]
    assert [line["code"] for line in day["metrics"][2]["series"]] == ["bp_systolic", "bp_diastolic"]
    assert [alarm["severity"] for alarm in day["alarms"]] == ["major", "major"]
    assert day["to"] - day["from"] == 24 * 3600 * 1000
    assert [one["code"] for one in one["metrics"]] == ["spo2"]
    assert month["metrics"][0]["code"] == "heart_rate"
    assert "elder.read" in await actions(site, str(elder))
    json.dumps(day)
