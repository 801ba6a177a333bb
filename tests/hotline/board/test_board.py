"""What operators look at: the order of the queue, one incident as a whole, history, figures."""

from datetime import timedelta

from devices.alarms import AlarmKind, Severity
from hotline.board import store as board
from hotline.board.model import HistoryFilter, QueueRow
from hotline.escalation.jobs import due_deadlines
from hotline.incidents import service
from hotline.incidents.model import Resolution
from kernel.auth.model import Actor
from kernel.divisions.service import load_divisions
from kernel.ids import new_id
from tests.hotline.world import World


async def _queue(world: World, division: str = "15", **more: bool) -> list[QueueRow]:
    async with world.db.connection() as conn:
        return await board.queue(conn, division, **more)


async def test_unclaimed_first_then_severity_then_the_oldest(world: World, operator: Actor) -> None:
    async def at(seconds: float, kind: AlarmKind) -> int:
        alarm = await world.alarm(await world.elder(), kind)
        return (await world.react(alarm, world.later(seconds))).number

    old_major = await at(0, AlarmKind.HEART_RATE_HIGH)
    minor = await at(1, AlarmKind.BED_EXIT)
    critical = await at(10, AlarmKind.SOS)
    older_critical = await at(5, AlarmKind.FALL)
    claimed = (await world.claimed(operator)).number
    assert [row.number for row in await _queue(world)] == [
        older_critical, critical, old_major, minor, claimed,
    ]  # fmt: skip


async def test_a_row_says_who_what_where_and_who_has_it(world: World, operator: Actor) -> None:
    async with world.db.transaction() as tx:
        await load_divisions(tx)
    elder = await world.elder("李秀英")
    incident = await world.claimed(operator, elder, device_no=await world.device(elder))
    await world.react(await world.alarm(elder), world.later(20))
    (row,) = await _queue(world)
    assert (row.elder_name, row.kind, row.severity, row.status) == (
        "李秀英", "sos", "critical", "acknowledged",
    )  # fmt: skip
    assert row.place.startswith("新城区")
    assert (row.acknowledged_by, row.holder_name) == ("wangfang", "王芳")
    assert (row.activation_count, row.version, row.grouped) == (2, incident.version, 1)
    assert (row.last_activation_at, row.room) == (world.later(20), "卧室")
    assert row.elder_birth_date
    assert row.elder_birth_date.year == 1943


async def test_technical_incidents_of_a_kind_are_one_line(world: World) -> None:
    for _ in range(4):
        await world.opened(kind=AlarmKind.DEVICE_OFFLINE)
    await world.opened(kind=AlarmKind.LOW_BATTERY)
    assert [(row.kind, row.grouped) for row in await _queue(world)] == [
        ("device_offline", 4), ("low_battery", 1),
    ]  # fmt: skip
    assert len(await _queue(world, group=False)) == 5


async def test_the_queue_is_that_of_the_division(world: World) -> None:
    await world.opened()
    assert len(await _queue(world, "150102")) == 1
    assert await _queue(world, "150105") == []
    assert len(await _queue(world, "")) == 1


async def test_the_clock_starts_again_when_it_is_given_back(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator)
    async with world.db.transaction() as tx:
        await service.release(tx, incident.id, 2, operator, world.later(90))
    (row,) = await _queue(world)
    assert (row.opened_at, row.waiting_since) == (world.now, world.later(90))


async def test_one_incident_as_a_whole(world: World, operator: Actor) -> None:
    elder = await world.elder("李秀英")
    incident = await world.claimed(operator, elder, device_no=await world.device(elder))
    incident, _, _ = await world.sent(incident, await world.responder(), operator)
    async with world.db.connection() as conn:
        page = await board.incident_page(conn, incident.id, "1501")
        assert await board.incident_page(conn, incident.id, "1502") is None
    assert page
    assert page.elder
    assert page.device
    assert (page.elder.name, page.device.id[:2]) == ("李秀英", "W-")
    assert [event.kind for event in page.events] == [
        "incident.opened", "incident.acknowledged", "incident.dispatched", "contact.texted",
    ]  # fmt: skip
    assert [a.to_name for a in page.attempts] == ["斯琴"]
    assert [d.responder_name for d in page.dispatches] == ["斯琴"]
    assert {d.kind.value for d in page.deadlines} == {"dispatch_answer", "time_in_status"}
    assert "resolve" in page.actions


async def _resolved(world: World, operator: Actor, name: str, kind: AlarmKind) -> None:
    incident = await world.claimed(operator, await world.elder(name), kind=kind)
    async with world.db.transaction() as tx:
        await service.resolve(
            tx, incident.id, 2, Resolution.UNFOUNDED, "误按", operator, world.later(300)
        )


async def test_history_finds_by_name_pinyin_number_state_and_time(
    world: World, operator: Actor
) -> None:
    await _resolved(world, operator, "李秀英", AlarmKind.SOS)
    await _resolved(world, operator, "王淑珍", AlarmKind.FALL)
    waiting = await world.opened(await world.elder("张玉梅"), AlarmKind.SMOKE)

    async def find(**wanted: object) -> list[str]:
        async with world.db.connection() as conn:
            rows, total = await board.history(conn, "1501", HistoryFilter(**wanted))  # type: ignore[arg-type]
        assert total == len(rows)
        return sorted(row.elder_name or "" for row in rows)

    assert len(await find()) == 3
    assert await find(text="秀英") == ["李秀英"]
    assert await find(text="lixiu") == ["李秀英"]
    assert await find(text="WSZ") == ["王淑珍"]
    assert await find(text=str(waiting.number)) == ["张玉梅"]
    assert await find(status="unresolved") == ["张玉梅"]
    assert await find(status="resolved", kind="fall") == ["王淑珍"]
    assert await find(resolution="unfounded") == ["李秀英", "王淑珍"]
    assert await find(severity="minor") == []
    assert await find(since=world.later(1)) == []
    assert await find(elder_id=new_id()) == []
    assert await find(text="%") == []


async def test_a_page_of_history_knows_the_count_also_behind_its_end(world: World) -> None:
    for _ in range(3):
        await world.opened()
    async with world.db.connection() as conn:
        rows, total = await board.history(conn, "", HistoryFilter(), limit=2)
        assert (len(rows), total) == (2, 3)
        assert await board.history(conn, "", HistoryFilter(), limit=2, offset=10) == ([], 3)
        oldest, _ = await board.history(conn, "", HistoryFilter(), sort="number", limit=1)
        newest, _ = await board.history(conn, "", HistoryFilter(), sort="nonsense", limit=1)
    assert oldest[0].number < newest[0].number


async def test_figures_count_what_the_house_promises(world: World, operator: Actor) -> None:
    async def claimed_after(seconds: float) -> None:
        incident = await world.opened()
        async with world.db.transaction() as tx:
            await service.acknowledge(tx, incident.id, 1, operator, world.later(seconds))

    for seconds in (20, 60, 100, 400):
        await claimed_after(seconds)
    await world.opened(test=True)
    waiting = await world.opened()
    await due_deadlines(world.db, world.later(30))
    await _resolved(world, operator, "李秀英", AlarmKind.BED_EXIT)
    async with world.db.connection() as conn:
        until, evening = world.now + timedelta(days=1), world.later(3600)
        figures = await board.stats(conn, "15", world.now, until, evening)
        nothing = await board.stats(conn, "44", world.now, until, evening)
    assert (figures.opened, figures.unacknowledged, figures.in_progress, figures.resolved) == (
        6, 1, 4, 1,
    )  # fmt: skip
    assert figures.answered_60 == 2 / 5
    assert figures.answered_180 == 3 / 5
    assert figures.escalated == 1
    assert figures.answer_p50_s == 60
    assert figures.by_resolution == {"unfounded": 1}
    assert figures.by_kind == {"sos": 5, "bed_exit": 1}
    assert waiting.severity is Severity.CRITICAL
    assert (nothing.opened, nothing.answered_60, nothing.answer_p50_s) == (0, None, None)


async def test_whose_time_is_not_over_is_neither_late_nor_in_time(
    world: World, operator: Actor
) -> None:
    async def shares(seconds: float) -> tuple[float | None, float | None]:
        until = world.now + timedelta(days=1)
        async with world.db.connection() as conn:
            figures = await board.stats(conn, "15", world.now, until, world.later(seconds))
        return figures.answered_60, figures.answered_180

    await world.opened()
    assert await shares(6) == (None, None)
    assert await shares(61) == (0, None)
    assert await shares(181) == (0, 0)
    claimed = await world.opened()
    async with world.db.transaction() as tx:
        await service.acknowledge(tx, claimed.id, 1, operator, world.later(30))
    assert await shares(50) == (1, 1)
    assert await shares(181) == (0.5, 0.5)


async def test_nobody_on_site_after_45_minutes_is_late(world: World, operator: Actor) -> None:
    async def on_site(minutes: float) -> float | None:
        until = world.now + timedelta(days=1)
        async with world.db.connection() as conn:
            figures = await board.stats(conn, "15", world.now, until, world.later(60 * minutes))
        return figures.on_site_45

    incident = await world.opened()
    async with world.db.transaction() as tx:
        held = await service.acknowledge(tx, incident.id, 1, operator, world.now)
    await world.sent(held, await world.responder("斯琴"), operator)
    assert await on_site(44) is None
    assert await on_site(46) == 0
