"""The JSON interface over real HTTP: shapes, rights, scope, conflicts and the audit."""

import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from devices.alarms import AlarmKind
from hotline.contacts import service as contacts
from kernel.auth.model import Role
from kernel.auth.web import route_rules
from kernel.db import fetch_tuples
from tests.hotline.serving import Site, serving
from tests.hotline.world import World


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    async with serving(world, demo=True) as running:
        yield running


async def _do(
    client: httpx.AsyncClient, incident_id: uuid.UUID, action: str, **body: object
) -> httpx.Response:
    return await client.post(f"/api/incidents/{incident_id}/{action}", json=body)


async def test_the_whole_way_from_claim_to_resolution(site: Site, world: World) -> None:
    client, actor = await site.login()
    incident = await world.opened(await world.elder("李秀英"), AlarmKind.FALL)
    await world.responder()
    (row,) = (await client.get("/api/incidents")).json()["items"]
    assert (row["elder_name"], row["kind"], row["status"]) == ("李秀英", "fall", "open")
    claimed = (await _do(client, incident.id, "acknowledge", version=1)).json()["incident"]
    assert (claimed["status"], claimed["holder_username"]) == ("acknowledged", actor.username)
    suggested = (await client.get(f"/api/incidents/{incident.id}/responders")).json()["items"]
    sent = (
        await _do(client, incident.id, "dispatch", version=2, responder_id=suggested[0]["id"])
    ).json()
    assert sent["incident"]["status"] == "dispatched"
    there = (await _do(client, incident.id, "on_scene", version=3, note="120 已到")).json()
    assert there["incident"]["status"] == "on_scene"
    done = (
        await _do(client, incident.id, "resolve", version=4, resolution="founded", reason="已送医")
    ).json()
    assert (done["incident"]["status"], done["incident"]["version"]) == ("resolved", 5)
    page = (await client.get(f"/api/incidents/{incident.id}")).json()
    assert page["elder"]["name"] == "李秀英"
    assert page["events"][0]["kind"] == "incident.opened"
    assert page["dispatches"][0]["status"] == "withdrawn"
    assert page["actions"] == ["reopen"]
    assert (await client.get("/api/incidents")).json()["items"] == []


async def test_the_loser_of_a_claim_sees_who_has_it(site: Site, world: World) -> None:
    first, _ = await site.login("王芳")
    second, _ = await site.login("赵敏")
    incident = await world.opened()
    await _do(first, incident.id, "acknowledge", version=1)
    lost = await _do(second, incident.id, "acknowledge", version=1)
    assert lost.status_code == 409
    facts = lost.json()["facts"]
    assert (facts["by"], facts["status"], facts["version"]) == ("王芳", "acknowledged", 2)
    refused = await _do(
        second, incident.id, "resolve", version=2, resolution="founded", reason="好"
    )
    assert refused.status_code == 403
    assert refused.json()["facts"]["by"] == "王芳"


async def test_no_phone_number_or_address_is_in_any_answer(site: Site, world: World) -> None:
    client, actor = await site.login()
    elder = await world.elder()
    incident = await world.claimed(actor, elder)
    called = await _do(client, incident.id, "call", who="next")
    assert called.status_code == 200
    texts = [
        (await client.get(path)).text
        for path in (
            "/api/incidents",
            f"/api/incidents/{incident.id}",
            "/api/incidents/history",
            f"/api/incidents/{incident.id}/responders",
        )
    ]
    for secret in (elder.phone, *elder.contact_phones, "钥匙盒", "华法林", "兴安小区"):
        assert not any(secret in text for text in texts)


@pytest.mark.parametrize("limit", [-1, 0, 1001])
async def test_a_limit_out_of_bounds_is_refused(site: Site, limit: int) -> None:
    client, _ = await site.login()
    refused = await client.get("/api/incidents", params={"limit": limit})
    assert refused.status_code == 422


async def test_reading_an_incident_is_audited(site: Site, world: World) -> None:
    client, actor = await site.login()
    incident = await world.opened()
    await client.get(f"/api/incidents/{incident.id}")
    async with world.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT actor_name, action, subject_id FROM audit_log WHERE action = 'incident.read'",
        )
    assert rows == [(actor.username, "incident.read", str(incident.id))]


async def test_another_division_sees_nothing(site: Site, world: World) -> None:
    client, _ = await site.login("包头坐席", division="1502")
    incident = await world.opened()
    assert (await client.get("/api/incidents")).json()["items"] == []
    assert (await client.get("/api/incidents/history")).json() == {"items": [], "total": 0}
    for path in ("", "/responders", "/guidance", "/operators", f"/photos/{uuid.uuid4()}"):
        assert (await client.get(f"/api/incidents/{incident.id}{path}")).status_code == 404
    for action, body in (
        ("acknowledge", {"version": 1}),
        ("release", {"version": 1}),
        ("resolve", {"version": 1, "resolution": "founded", "reason": "x"}),
        ("reopen", {"version": 1, "reason": "x"}),
        ("note", {"text": "x"}),
        ("call", {"who": "elder"}),
        ("on_scene", {"version": 1}),
        ("hand_over", {"version": 1, "to": str(uuid.uuid4())}),
        ("dispatch", {"version": 1, "responder_id": str(uuid.uuid4())}),
    ):
        assert (await _do(client, incident.id, action, **body)).status_code == 404


async def test_readers_do_not_handle_and_nobody_else_gets_in(site: Site, world: World) -> None:
    incident = await world.opened()
    reader, _ = await site.login("孙丽", Role.CARE_MANAGER)
    assert (await reader.get(f"/api/incidents/{incident.id}")).status_code == 200
    assert (await _do(reader, incident.id, "acknowledge", version=1)).status_code == 403
    auditor, _ = await site.login("审计", Role.AUDITOR)
    assert (await auditor.get("/api/incidents")).status_code == 403
    assert (await site.client().get("/api/incidents")).status_code == 401


async def test_without_the_csrf_token_nothing_is_changed(site: Site, world: World) -> None:
    client, _ = await site.login()
    incident = await world.opened()
    del client.headers["X-CSRF-Token"]
    assert (await _do(client, incident.id, "acknowledge", version=1)).status_code == 403
    assert (await world.incident(incident.id)).version == 1


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("acknowledge", {}),
        ("acknowledge", {"version": "new"}),
        ("acknowledge", {"version": 1, "force": True}),
        ("resolve", {"version": 1, "resolution": "gone", "reason": "x"}),
        ("resolve", {"version": 1, "resolution": "founded", "reason": "x" * 2001}),
        ("call", {"who": "everybody"}),
        ("note", {"text": "x" * 2001}),
    ],
)
async def test_bodies_that_are_wrong_are_refused(
    site: Site, world: World, action: str, body: dict[str, object]
) -> None:
    client, _ = await site.login()
    incident = await world.opened()
    assert (await _do(client, incident.id, action, **body)).status_code == 422


async def test_what_no_database_takes_is_left_out(site: Site, world: World) -> None:
    client, _ = await site.login()
    incident = await world.opened()
    await _do(client, incident.id, "acknowledge", version=1)
    for action, body in (
        ("note", {"text": "没\0事"}),
        ("on_scene", {"version": 2, "note": "已\0到"}),
        ("resolve", {"version": 10**30, "resolution": "founded", "reason": "x"}),
        ("resolve", {"version": 3, "resolution": "founded", "reason": "已\0送医"}),
        ("reopen", {"version": 4, "reason": "又\0来"}),
    ):
        answer = await _do(client, incident.id, action, **body)
        assert answer.status_code == (409 if body.get("version") == 10**30 else 200), answer.text
    for body in (rb'{"text": "\ud800"}', b"[" * 100_000, b"\xff", b'{"text": 1e999}'):
        headers = {"Content-Type": "application/json"}
        path = f"/api/incidents/{incident.id}/note"
        assert (await client.post(path, content=body, headers=headers)).status_code in (400, 422)


async def test_handing_over_names_who_could_take_it(site: Site, world: World) -> None:
    client, actor = await site.login()
    _, other = await site.login("赵敏")
    incident = await world.claimed(actor)
    (taker,) = (await client.get(f"/api/incidents/{incident.id}/operators")).json()["items"]
    assert taker["display_name"] == "赵敏"
    given = await _do(client, incident.id, "hand_over", version=2, to=taker["id"])
    assert given.json()["incident"]["holder_username"] == other.username


async def test_guided_questions_are_those_of_the_kind(site: Site, world: World) -> None:
    client, _ = await site.login()
    incident = await world.opened(kind=AlarmKind.GAS)
    items = (await client.get(f"/api/incidents/{incident.id}/guidance")).json()["items"]
    assert "不要开灯" in items[0]


async def test_the_demonstrations_phone_shows_links_and_picks_up(site: Site, world: World) -> None:
    client, actor = await site.login()
    incident = await world.claimed(actor, await world.elder(contacts=1))
    await _do(client, incident.id, "call", who="next")
    (ringing,) = (await client.get("/api/demo/phone")).json()["items"]
    assert ringing["can_answer"]
    elsewhere, _ = await site.login("包头坐席", division="1502")
    assert (await elsewhere.get("/api/demo/phone")).json()["items"] == []
    refused = await elsewhere.post(f"/api/demo/phone/{ringing['id']}/answer", json={})
    assert refused.status_code == 404
    answered = await client.post(f"/api/demo/phone/{ringing['id']}/answer", json={"digits": "1"})
    assert answered.json()["attempt"]["status"] == "completed"
    again = await client.post(f"/api/demo/phone/{ringing['id']}/answer", json={})
    assert again.status_code == 409
    async with world.db.transaction() as tx:  # what the carrier's own timer says later
        await contacts.attempt_progress(tx, ringing["id"], "no_answer", None, world.now)
    assert (await world.attempts(incident.id))[0][3] == "completed"


async def test_outside_of_the_demonstration_there_is_no_such_phone(world: World) -> None:
    async with serving(world) as site:
        client, _ = await site.login()
        assert (await client.get("/api/demo/phone")).status_code == 404


async def test_every_route_of_ours_is_guarded(site: Site) -> None:
    app = site.server.config.app
    rules = [rule for rule in route_rules(app) if not rule.path.startswith("/assets")]  # type: ignore[arg-type]
    assert len(rules) > 20
    assert [rule.path for rule in rules if not rule.guarded] == []
    assert {rule.path for rule in rules if rule.public} == {
        "/r/{token}", "/r/{token}/step", "/r/{token}/note", "/r/{token}/photo",
        "/r/{token}/position",
    }  # fmt: skip
