"""What platforms push over HTTP: committed before it is answered, once, and only with a token."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ingest.deadletters.replay import replay
from ingest.pipeline import Pipeline
from ingest.push import sources
from ingest.push.desk import PushDesk, PushSettings
from ingest.registry_cache import RegistryCache
from kernel.auth.model import SYSTEM
from kernel.clock import utcnow
from tests.dashboards.console.test_live_feed import listening
from tests.hotline.serving import Site
from tests.ingest.home import Home, Witness, body, until
from tests.ingest.push.platforms import Platforms

RADAR = "0101010101010101"
SCAIP_ALARM = (
    b"<mrq><ref>yhexGeV5E49zglfi</ref><cid>999998</cid><dty>0004</dty><mty>ME</mty>"
    b"<stc>0010</stc><lco>002</lco><crd>gsm:</crd><cha>0</cha></mrq>"
)


def uplink(**fields: Any) -> str:
    """An uplink of ChirpStack; `object` is what its decoder made of the payload."""
    at = utcnow().isoformat()
    info = {"applicationId": "17c82e96", "devEui": RADAR, "deviceName": "VS373"}
    return json.dumps({"time": at, "deviceInfo": info} | fields)


async def radar(home: Home, **changes: Any) -> int:
    elder = await home.elder()
    return await home.device(
        "LR-0001", "ls-vs373", elder=elder, alias=("chirpstack", RADAR), **changes
    )


async def test_a_push_is_committed_when_it_is_answered(home: Home, platforms: Platforms) -> None:
    await radar(home)
    platform = await platforms.add("chirpstack")
    answer = await platform.push(uplink(object={"battery": 87}), event="up")
    assert (answer.status_code, answer.json()) == (200, {"stored": 1, "known": 0, "refused": []})
    assert await home.rows("SELECT metric, value FROM reading") == [(10, 87.0)]
    assert await home.value("SELECT last_seen_at IS NOT NULL FROM device")
    assert await home.count("latest_reading") == 1


async def test_an_alarm_opens_an_incident_on_the_operators_screen(
    home: Home, platforms: Platforms, site: Site
) -> None:
    await radar(home)
    operator, _ = await site.login()
    platform = await platforms.add("chirpstack")
    async with listening(operator) as feed:
        pushed = uplink(object={"detection_status": "fall"})
        answer = await platform.push(pushed, event="up")
        assert answer.status_code == 200
        opened = await feed.next()
    assert (opened["event"], opened["kind"], opened["severity"]) == (
        "incident.opened", "fall", "critical",
    )  # fmt: skip
    assert await home.alarms() == [("fall", "critical", "device")]


async def test_the_same_push_again_is_known(home: Home, platforms: Platforms) -> None:
    await radar(home)
    platform = await platforms.add("chirpstack")
    pushed = uplink(object={"battery": 87, "alarm_fall": "triggered"})
    answers = await asyncio.gather(*(platform.push(pushed, event="up") for _ in range(12)))
    assert [answer.status_code for answer in answers] == [200] * 12
    assert sorted(answer.json()["stored"] for answer in answers) == [0] * 11 + [1]
    assert await home.count("reading") == 1
    assert await home.alarms() == [("fall", "critical", "device")]
    assert await home.count("incident") == 1


async def test_what_cannot_be_decoded_is_refused_and_kept(
    home: Home, platforms: Platforms, pipeline: Pipeline
) -> None:
    await radar(home)
    platform = await platforms.add("chirpstack")
    for pushed, query, reason in (
        ("nope", {"event": "up"}, "malformed_json"),
        ("[]", {"event": "up"}, "not_an_object"),
        (uplink(), {"event": ""}, "missing_field"),
        (
            uplink(deviceInfo={"devEui": "a/b", "applicationId": "1"}),
            {"event": "up"},
            "bad_device_id",
        ),
        (uplink(data="!!"), {"event": "up"}, "bad_value"),
    ):
        answer = await platform.push(pushed, query=query)
        assert (answer.status_code, answer.json()["code"]) == (422, reason)
        assert answer.json()["message"].startswith("It was kept aside: ")
    kept = await home.rows("SELECT DISTINCT transport, codec FROM dead_letter")
    assert kept == [("http", "chirpstack")]
    assert len(await home.letters()) == 5


async def test_an_unknown_device_is_kept_until_it_is_registered(
    home: Home, platforms: Platforms, pipeline: Pipeline, now: Any
) -> None:
    platform = await platforms.add("chirpstack")
    answer = await platform.push(uplink(object={"battery": 50}), event="up")
    assert answer.status_code == 202
    assert answer.json()["refused"][0]["reason"] == "unknown_device"
    await radar(home)
    letter = await home.value("SELECT id FROM dead_letter")
    result = await replay(home.db, pipeline, letter, utcnow())
    assert result is not None
    assert (result.messages, result.stored, result.reason) == (1, 1, "")


async def test_our_own_protocol_can_be_pushed_in_batches(home: Home, platforms: Platforms) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0001", "sl-gateway-1")
    await home.device("B-0001", "sl-watch-1", elder=elder, gateway=gateway)
    platform = await platforms.add("silverline_v1")
    at = utcnow()
    batch = [
        {"device": "B-0001", "seq": n, "t": int(at.timestamp() * 1000) - n, "vitals": {"spo2": 97}}
        for n in range(200)
    ]
    pushed = json.dumps({"batch": [*batch, {"device": "Z-9999", "seq": 1, "vitals": {"spo2": 90}}]})
    to_gateway = {"device": "G-0001", "kind": "vitals"}
    answer = await platform.push(pushed, query=to_gateway)
    assert answer.status_code == 200
    assert answer.json()["stored"] == 200
    assert [each["device"] for each in answer.json()["refused"]] == ["Z-9999"]
    again = await platform.push(pushed, query=to_gateway)
    assert (again.json()["stored"], again.json()["known"]) == (0, 200)
    sos = body(seq=1000, alarm="sos", t=at)
    assert (await platform.push(sos, query={"device": "B-0001", "kind": "alarm"})).json()[
        "stored"
    ] == 1
    assert await home.alarms() == [("sos", "critical", "device")]


async def test_without_a_valid_token_nothing_is_read(home: Home, platforms: Platforms) -> None:
    platform = await platforms.add("chirpstack")
    client = platforms.site.client()
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {platform.token}x"},
        {"Authorization": f"Digest {platform.token}"},
        {"Authorization": "Basic !!"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
    ):
        answer = await client.post(
            "/ingest/http/chirpstack", content="x", headers=headers,
            params={"token": platform.token, "event": "up"},
        )  # fmt: skip
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await home.letters() == []


async def test_a_token_is_for_one_codec_and_ends_when_it_is_revoked(
    home: Home, platforms: Platforms
) -> None:
    platform = await platforms.add("chirpstack")
    other = await platform.push("{}", codec="tts")
    assert (other.status_code, other.json()["message"]) == (403, "This token is for chirpstack.")
    watch = await platform.push("{}", codec="gt06")
    assert (watch.status_code, "TCP" in watch.json()["message"]) == (404, True)
    async with home.db.transaction() as tx:
        await sources.revoke(tx, "platform", actor=SYSTEM, now=utcnow())
    assert (await platform.push(uplink(), event="up")).status_code == 401
    renewed = await platforms.add("chirpstack")
    assert (await renewed.push(uplink(), event="up")).status_code == 202
    actions = await home.rows("SELECT action FROM audit_log ORDER BY seq")
    assert [row[0] for row in actions] == ["source.created", "source.revoked", "source.created"]


async def test_a_token_ends_with_its_day(home: Home, platforms: Platforms) -> None:
    platform = await platforms.add("chirpstack", days=30)

    async def ends(when: str) -> None:
        async with home.db.transaction() as tx:
            await tx.execute(
                "UPDATE ingest_source SET created_at = now() - interval '30 days',"
                " expires_at = now() + %s::interval",
                (when,),
            )

    await ends("1 hour")
    assert (await platform.push(uplink(), event="up")).status_code == 202
    await ends("-1 second")
    assert (await platform.push(uplink(), event="up")).status_code == 401


async def test_a_body_that_is_too_large_is_kept_in_part(home: Home, platforms: Platforms) -> None:
    platform = await platforms.add("chirpstack")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 10_000

    for pushed in (b"x" * 400_000, endless()):
        answer = await platform.client.post(
            "/ingest/http/chirpstack", content=pushed, params={"event": "up"},
            headers={"Authorization": f"Bearer {platform.token}"},
        )  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (413, "oversized")
    assert await home.letters() == [("oversized", "", 2)]
    assert await home.value("SELECT length(payload) FROM dead_letter") == 65_536


async def test_a_compressed_body_is_not_unpacked(platforms: Platforms) -> None:
    platform = await platforms.add("chirpstack")
    answer = await platform.push(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}, event="up")
    assert answer.status_code == 422


async def test_a_source_speaks_for_its_division_only(home: Home, platforms: Platforms) -> None:
    await radar(home)  # in 1501 05
    platform = await platforms.add("chirpstack", division="150102")
    answer = await platform.push(uplink(object={"alarm_fall": "triggered"}), event="up")
    assert answer.status_code == 202
    assert answer.json()["refused"][0]["reason"] == "outside_division"
    assert await home.alarms() == []
    assert await home.count("ingest_message") == 0
    near = await platforms.add("chirpstack", division="150105", name="near")
    answer = await near.push(uplink(object={"alarm_fall": "triggered"}), event="up")
    assert answer.json()["stored"] == 1
    assert await home.alarms() == [("fall", "critical", "device")]


async def test_a_source_that_sends_too_much_is_told_to_wait(
    home: Home, platforms: Platforms, pipeline: Pipeline
) -> None:
    platform = await platforms.add("chirpstack")
    platforms.replace_gate(PushDesk(home.db, pipeline, PushSettings(rate=0.5, burst=3)))
    codes = [(await platform.push("x", event="up")).status_code for _ in range(5)]
    assert codes == [422, 422, 422, 429, 429]
    answer = await platform.push("x", event="up")
    assert int(answer.headers["retry-after"]) >= 1
    other = await platforms.add("chirpstack", name="other")
    assert (await other.push("x", event="up")).status_code == 422


async def test_guessing_tokens_is_slowed_down(platforms: Platforms) -> None:
    platform = await platforms.add("tts")
    assert (await platform.push("nope")).status_code == 422
    client = platforms.site.client(Authorization="Bearer sls_guess")
    codes = [(await client.post("/ingest/http/tts", content="{}")).status_code for _ in range(60)]
    assert codes[:30] == [401] * 30
    assert 429 in codes
    # Who was let in before is let in, whoever else is behind the same address.
    assert (await platform.push("nope")).status_code == 422


async def test_no_answer_before_the_commit_and_none_that_lies(
    home: Home, platforms: Platforms, pipeline: Pipeline
) -> None:
    await radar(home)
    platform = await platforms.add("chirpstack")
    platforms.replace_gate(PushDesk(home.db, pipeline, PushSettings(patience=0.3)))
    async with home.db.dedicated() as blocker:
        await blocker.execute("BEGIN")
        await blocker.execute("LOCK TABLE ingest_message IN EXCLUSIVE MODE")
        pushed = uplink(object={"battery": 60})
        answer = await platform.push(pushed, event="up")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        await blocker.execute("ROLLBACK")
    assert await home.count("ingest_message") == 0
    again = await platform.push(pushed, event="up")
    assert again.json()["stored"] == 1


async def test_a_fault_of_ours_is_kept_and_not_called_a_success(
    home: Home, platforms: Platforms, witness: Witness
) -> None:
    await radar(home)

    async def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    witness.before = fail
    pipeline = Pipeline(home.db, RegistryCache(home.db), witness.react, witness.clear)
    platforms.replace_gate(PushDesk(home.db, pipeline, PushSettings()))
    platform = await platforms.add("chirpstack")
    answer = await platform.push(uplink(object={"alarm_fall": "triggered"}), event="up")
    assert answer.status_code == 500
    assert [letter[0] for letter in await home.letters()] == ["processing_failed"]
    assert await home.alarms() == []


async def test_scaip_over_http_is_answered_with_its_own_word(
    home: Home, platforms: Platforms
) -> None:
    platform = await platforms.add("scaip")
    unknown = await platform.push(SCAIP_ALARM)
    assert unknown.status_code == 404
    elder = await home.elder()
    await home.device("S-0001", "scaip-controller", elder=elder, alias=("scaip", "999998"))

    async def heard() -> bool:
        return (await platform.push(SCAIP_ALARM)).status_code == 200

    # The registry is asked again after a moment.
    await until(heard)
    answer = await platform.push(SCAIP_ALARM)
    assert answer.headers["content-type"] == "application/scaip+xml"
    assert answer.content == b"<mrs><ref>yhexGeV5E49zglfi</ref><snu>0</snu></mrs>"
    assert await home.alarms() == [("sos", "critical", "device")]


async def test_a_telephone_with_owntracks_needs_a_list_and_sends_a_password(
    home: Home, platforms: Platforms
) -> None:
    elder = await home.elder()
    await home.device("P-0001", "owntracks-phone", elder=elder, alias=("owntracks", "wang/phone"))
    platform = await platforms.add("owntracks")
    password = base64.b64encode(f"wang:{platform.token}".encode()).decode()
    location = {"_type": "location", "lat": 40.84, "lon": 111.75, "batt": 80,
                "tst": int((utcnow() - timedelta(seconds=5)).timestamp())}  # fmt: skip
    for headers, extra in (
        ({"X-Limit-U": "wang", "X-Limit-D": "phone"}, {}),
        ({}, {"topic": "owntracks/wang/phone"}),
    ):
        answer = await platforms.site.client().post(
            "/ingest/http/owntracks",
            json=location | extra,
            headers={"Authorization": f"Basic {password}"} | headers,
        )
        assert (answer.status_code, answer.json()) == (200, [])
    assert await home.value("SELECT lat FROM device") == pytest.approx(40.84)


async def test_an_idempotency_key_makes_a_press_without_time_one_press(
    home: Home, platforms: Platforms
) -> None:
    elder = await home.elder()
    await home.device("D-0001", "ls-ws101", elder=elder, alias=("tts", "dev1"))
    platform = await platforms.add("tts")
    press = json.dumps(
        {
            "end_device_ids": {"device_id": "dev1", "application_ids": {"application_id": "a"}},
            "uplink_message": {"decoded_payload": {"button": "short"}},
        }
    )
    for key in ("one", "one", "two"):
        answer = await platform.push(press, headers={"Idempotency-Key": key})
        assert answer.status_code == 200
    assert await home.count("alarm") == 2
    await platform.push(press)
    await platform.push(press)
    assert await home.count("alarm") == 4
    # A platform that has lost its patience asks again while the first one is still under way.
    key = {"Idempotency-Key": "three"}
    async with home.db.dedicated() as blocker:
        await blocker.execute("BEGIN")
        await blocker.execute("LOCK TABLE ingest_message, alarm IN EXCLUSIVE MODE")
        pushes = [asyncio.create_task(platform.push(press, headers=key)) for _ in range(3)]
        await until(lambda: somebody_waits(home))
        await blocker.execute("ROLLBACK")
        await asyncio.gather(*pushes)
    assert await home.count("alarm") == 5
    # The same key on something else is something else.
    other = press.replace("short", "long")
    assert (await platform.push(other, headers=key)).json()["stored"] == 1


async def somebody_waits(home: Home) -> bool:
    """Whether pushes wait for a lock, and none is still on its way to it."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
    stuck = await home.value(waiting + "wait_event_type = 'Lock'")
    return bool(stuck >= 3)


async def test_the_token_is_in_no_log_and_no_table(
    home: Home, platforms: Platforms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    platform = await platforms.add("chirpstack")
    await platform.push(uplink(), event="up")
    await platform.push("nope", event="up")
    await platform.push("nope", codec="tts")
    assert platform.token not in caplog.text
    for table in ("ingest_source", "dead_letter", "audit_log"):
        stored = await home.rows(f"SELECT t::text FROM {table} t")  # noqa: S608
        assert stored
        assert all(platform.token not in row[0] for row in stored)
