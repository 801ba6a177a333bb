"""The responder's page without any script: forms over real HTTP."""

import asyncio
import re
from datetime import timedelta

import httpx
import pytest
import structlog

from hotline.dispatch import service as dispatches
from hotline.dispatch import store as dispatch_store
from hotline.dispatch.images import MAX_BYTES
from kernel.clock import utcnow
from kernel.db import fetch_tuples
from tests.dashboards.responder.conftest import Task
from tests.hotline.dispatch.test_images import TABLES, exif, jpeg, segment
from tests.hotline.serving import Site

PHOTO = jpeg(segment(0xE1, exif(6)))


async def _tap(task: Task, action: str, **more: str) -> httpx.Response:
    page = await task.phone.get(task.path)
    found = re.search(r'name="version" value="(\d+)"', page.text)
    version = found[1] if found else "1"
    form = {"action": action, "version": version} | more
    answer = await task.phone.post(f"{task.path}/step", data=form)
    assert answer.status_code == 303, answer.text
    return await task.phone.get(answer.headers["location"])


async def test_the_page_comes_in_one_request_and_everything_is_under_100_kb(task: Task) -> None:
    page = await task.phone.get(task.path)
    assert page.status_code == 200
    total = len(page.content)
    for name in re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.text):
        asset = await task.phone.get(name)
        assert asset.status_code == 200
        total += len(asset.content)
    assert total < 100 * 1024
    assert total < 25 * 1024, f"it was {total} bytes: has something crept in?"


async def test_the_link_is_kept_secret_by_the_headers(task: Task) -> None:
    headers = (await task.phone.get(task.path)).headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "noindex" in headers["x-robots-tag"]
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy


async def test_the_page_says_what_where_and_what_to_beware_of(task: Task) -> None:
    text = (await task.phone.get(task.path)).text
    for needed in (
        "求助",
        "李秀英",
        "独居",
        "兴安小区3号楼2单元501室",
        "听力差",
        "geo:40.857000,111.690000",
    ):
        assert needed in text
    assert re.search(r"8\d\s岁", text)
    assert "style=" not in text


async def test_the_way_in_and_the_phone_are_shown_from_accepting_to_done(task: Task) -> None:
    async def shown() -> tuple[bool, bool]:
        text = (await task.phone.get(task.path)).text
        return "密码 4071" in text, f"tel:{task.elder.phone}" in text

    assert await shown() == (False, False)
    await _tap(task, "accept")
    assert await shown() == (True, True)
    await _tap(task, "arrive")
    assert await shown() == (True, True)
    await _tap(task, "complete")
    assert await shown() == (False, False)


async def test_the_four_buttons_in_their_order(task: Task) -> None:
    labels = []
    for action in ("accept", "depart", "arrive", "complete"):
        page = (await task.phone.get(task.path)).text
        (button,) = re.findall(r'class="button primary" name="action" value="(\w+)"', page)
        assert button == action
        shown = await _tap(task, action)
        labels.append("已记录" in shown.text)
    assert labels == [True] * 4
    assert await task.status() == "completed"
    kinds = await task.kinds()
    assert [k for k in kinds if k.startswith("dispatch.")] == [
        "dispatch.accepted", "dispatch.en_route", "dispatch.on_scene", "dispatch.completed",
    ]  # fmt: skip


async def test_a_page_that_is_out_of_date_says_so_and_shows_the_state(task: Task) -> None:
    await _tap(task, "accept")
    old = await task.phone.post(
        f"{task.path}/step", data={"action": "decline", "version": "1"}, follow_redirects=True
    )
    assert "任务状态已经变化" in old.text
    assert await task.status() == "accepted"


async def test_declining_needs_no_reason_and_ends_the_link(task: Task) -> None:
    gone = await _tap(task, "decline", reason="车坏了")
    assert gone.status_code == 410
    assert "任务已转给其他人员" in gone.text
    assert "李秀英" not in gone.text
    assert (await task.phone.get(task.path)).status_code == 410
    assert (await task.world.incident(task.incident.id)).status == "acknowledged"


async def test_a_withdrawn_task_shows_nobody(task: Task) -> None:
    async with task.world.db.transaction() as tx:
        await dispatches.withdraw(
            tx, task.incident.id, task.incident.version, task.dispatch_id, task.operator, utcnow()
        )
    gone = await task.phone.get(task.path)
    assert gone.status_code == 410
    assert "任务已撤回" in gone.text
    assert "李秀英" not in gone.text
    refused = await task.phone.post(f"{task.path}/note", data={"text": "我到了"})
    assert refused.status_code == 410


@pytest.mark.parametrize("path", ["/r/nothing", "/r/" + "A" * 43, "/r/..%2f..%2fetc"])
async def test_a_link_that_is_none_is_a_page_that_says_so(task: Task, path: str) -> None:
    answer = await task.phone.get(path)
    assert answer.status_code == 404
    for suffix in ("step", "note", "photo", "position"):
        form = {"action": "accept", "text": "x", "lat": "1", "lon": "1"}
        assert (await task.phone.post(f"{path}/{suffix}", data=form)).status_code == 404


async def test_an_operators_action_is_not_the_responders(task: Task) -> None:
    for action in ("withdraw", "explode"):
        form = {"action": action, "version": "1"}
        answer = await task.phone.post(f"{task.path}/step", data=form)
        assert answer.status_code in {404, 422}
    assert await task.status() == "notified"


async def test_a_note_comes_once_however_often_it_is_sent(task: Task) -> None:
    form = {"text": "老人意识清楚，已扶起", "key": "a1b2"}
    answers = await asyncio.gather(
        *(task.phone.post(f"{task.path}/note", data=form) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {303}
    assert (await task.kinds()).count("dispatch.note") == 1
    empty = await task.phone.post(f"{task.path}/note", data={"text": "  "}, follow_redirects=True)
    assert "备注是空的" in empty.text


async def _photo(task: Task, content: bytes, name: str = "a.jpg") -> str:
    answer = await task.phone.post(
        f"{task.path}/photo",
        files={"photo": (name, content, "image/jpeg")},
        follow_redirects=True,
    )
    assert answer.status_code == 200
    return answer.text


async def test_a_photo_is_kept_without_its_place_and_the_operator_sees_it(
    task: Task,
) -> None:
    assert "照片已发给值班员" in await _photo(task, PHOTO)
    async with task.world.db.connection() as conn:
        (info,) = await dispatch_store.photos(conn, task.incident.id)
        found = await dispatch_store.photo_bytes(conn, task.incident.id, info.id)
    assert found
    image = task.world.cipher.decrypt_bytes(dispatches.PHOTO, found[1])
    assert b"GPS" not in image
    assert TABLES in image
    assert "dispatch.photo" in await task.kinds()


async def test_what_is_no_photo_or_too_large_is_said_in_words(task: Task) -> None:
    assert "照片不能用" in await _photo(task, b"<svg onload='alert(1)'/>", "a.svg")
    assert "没有收到照片" in await _photo(task, b"")
    exactly = jpeg(segment(0xFE, b"x" * 100))
    padded = exactly + b"\0" * (MAX_BYTES - len(exactly))
    assert "照片已发给值班员" in await _photo(task, padded)
    assert "照片不能用" in await _photo(task, padded + b"\0")
    assert "超过 6 MB" in await _photo(task, padded + b"\0" * 100_000)
    async with task.world.db.connection() as conn:
        assert len(await dispatch_store.photos(conn, task.incident.id)) == 1


async def test_the_position_is_kept_while_on_the_way(task: Task) -> None:
    form = {"lat": "40.81", "lon": "111.65", "accuracy": "20"}

    async def position() -> object:
        assert (await task.phone.post(f"{task.path}/position", data=form)).status_code == 204
        async with task.world.db.connection() as conn:
            return (await fetch_tuples(conn, "SELECT lat, lon, accuracy_m FROM responder"))[0]

    assert await position() == (None, None, None)
    await _tap(task, "accept")
    assert await position() == (40.81, 111.65, 20.0)
    wrong = await task.phone.post(f"{task.path}/position", data={"lat": "x", "lon": "1"})
    assert wrong.status_code == 422


async def test_every_reading_is_audited_under_the_responders_name(task: Task) -> None:
    await task.phone.get(task.path)
    async with task.world.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT actor_name, subject_id, detail::text FROM audit_log"
            " WHERE action = 'dispatch.read'",
        )
    ((actor, subject, detail),) = rows
    assert actor.startswith("responder:")
    assert subject == str(task.incident.id)
    assert task.path.removeprefix("/r/") not in detail


async def test_the_page_speaks_english_to_an_english_phone(task: Task) -> None:
    page = await task.phone.get(task.path, headers={"Accept-Language": "en"})
    assert 'lang="en"' in page.text
    assert "Accept" in page.text
    text = re.sub(r"<title>.*?</title>", "", page.text)
    left = set(re.findall(r"[一-鿿]+", text))
    # What people wrote about the elder stays as they wrote it.
    assert left <= {
        "李秀英", "海东路街道兴安小区", "号楼", "单元", "室", "高血压", "独居", "听力差",
    }  # fmt: skip


async def test_an_iphone_gets_its_own_map_address(task: Task) -> None:
    headers = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"}
    page = await task.phone.get(task.path, headers=headers)
    assert re.search(r"maps://\?daddr=40\.85\d+,111\.69\d+", page.text)


async def test_an_expired_link_is_dead(task: Task) -> None:
    async with task.world.db.transaction() as tx:
        await tx.execute(
            "UPDATE dispatch SET token_expires_at = %s", (utcnow() - timedelta(seconds=1),)
        )
    gone = await task.phone.get(task.path)
    assert gone.status_code == 410
    assert "已过期" in gone.text


async def test_an_error_of_ours_does_not_log_the_link(
    task: Task, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("dashboards.portal.responder.steps", broken)
    with structlog.testing.capture_logs() as logs:
        answer = await task.phone.get(task.path)
    assert answer.status_code == 500
    assert any(line["event"] == "web.error" for line in logs)
    assert task.path.removeprefix("/r/") not in str(logs)


@pytest.mark.parametrize(
    ("step", "form"),
    [
        ("step", {"action": "accept", "version": "9" * 30, "reason": "x"}),
        ("step", {"action": "accept", "version": "-1"}),
        ("step", {"action": "decline", "version": "1", "reason": "没\0空"}),
        ("step", {"action": "decline", "version": "1", "reason": "没" * 501}),
        ("note", {"text": "到\0了", "key": "a\0b"}),
        ("note", {"text": "了" * 2001}),
        ("position", {"lat": "nan", "lon": "1e999"}),
        ("position", {"lat": "40.8", "lon": "111.6", "accuracy": "nan"}),
        ("position", {"lat": "40.8", "lon": "111.6", "accuracy": "1e300"}),
    ],
)
async def test_no_form_breaks_the_page(task: Task, step: str, form: dict[str, str]) -> None:
    if step == "position":
        await _tap(task, "accept")
    answer = await task.phone.post(f"{task.path}/{step}", data=form)
    assert answer.status_code in (204, 303, 409, 422), answer.text
    assert (await task.phone.get(task.path)).status_code in (200, 410)
