"""Who is suggested, in which order, and what the order is explained by."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.alarms import AlarmKind
from hotline.incidents import store as incidents
from hotline.responders import roster_store, rules, service
from hotline.responders.model import Responder
from kernel.auth.model import Actor
from kernel.errors import Invalid
from kernel.ids import new_id
from tests.hotline.world import World

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)
HOME = (40.8570, 111.6900)
PLACE = "150102003005"


def person(
    name: str,
    *,
    metres: float | None = 1000,
    age_s: int = 60,
    skills: tuple[str, ...] = ("first_aid",),
    division: str = "150102000000",
    on_duty: bool = True,
    busy: int = 0,
) -> Responder:
    lat = None if metres is None else HOME[0] + metres / 111_195
    return Responder(
        new_id(), None, name, b"", list(skills), division, "站", lat,
        None if metres is None else HOME[1],
        None if metres is None else NOW - timedelta(seconds=age_s), on_duty, busy,
    )  # fmt: skip


def names(*people: Responder, kind: AlarmKind = AlarmKind.SOS) -> list[str]:
    return [one.name for one in rules.suggest(people, kind, PLACE, HOME, NOW)]


def test_the_nearest_comes_first() -> None:
    assert names(person("远", metres=3000), person("近", metres=300)) == ["近", "远"]


def test_a_stale_fix_ranks_after_every_fresh_one_however_near() -> None:
    assert names(person("旧", metres=50, age_s=1801), person("新", metres=9000)) == ["新", "旧"]
    assert names(person("刚好", metres=50, age_s=1800), person("新", metres=9000))[0] == "刚好"


def test_without_fresh_fixes_the_station_of_the_division_decides() -> None:
    people = (
        person("无定位外区", metres=None, division="150105000000"),
        person("旧定位同街道", metres=5000, age_s=9999, division="150102003000"),
        person("无定位同区", metres=None, division="150102000000"),
    )
    assert names(*people) == ["旧定位同街道", "无定位同区", "无定位外区"]


def test_who_can_do_it_comes_before_who_is_nearer() -> None:
    people = (person("近", metres=100, skills=("visit",)), person("会", metres=4000))
    assert names(*people) == ["会", "近"]


def test_who_is_on_another_task_comes_last_and_who_is_off_duty_not_at_all() -> None:
    people = (
        person("忙", metres=100, busy=1),
        person("下班", metres=10, on_duty=False),
        person("闲", metres=4000),
    )
    assert names(*people) == ["闲", "忙"]


def test_the_order_is_explained() -> None:
    (one,) = rules.suggest(
        [person("斯琴", metres=1000, skills=("first_aid", "visit"))],
        AlarmKind.FALL, PLACE, HOME, NOW,
    )  # fmt: skip
    assert one.distance_m == pytest.approx(1000, abs=3)
    assert one.eta_s == pytest.approx(280, abs=2)
    assert (one.fix_age_s, one.fix_stale, one.shared) == (60, False, 3)
    assert (one.matched, one.missing) == (["first_aid"], ["lifting"])


@pytest.mark.parametrize("kind", AlarmKind)
def test_every_kind_asks_for_a_skill(kind: AlarmKind) -> None:
    assert rules.SKILLS[kind]


@pytest.mark.parametrize(
    ("one", "other", "levels"),
    [
        ("150102003005", "150102003005", 5),
        ("150102003005", "150102003001", 4),
        ("150102003005", "150102004001", 3),
        ("150102003005", "150105000000", 2),
        ("150102003005", "150200000000", 1),
        ("150102003005", "110101001001", 0),
    ],
)
def test_levels_in_common(one: str, other: str, levels: int) -> None:
    assert rules.shared_levels(one, other) == levels


async def test_suggestions_use_the_home_when_the_alarm_has_no_place(
    world: World, operator: Actor
) -> None:
    near, far = await world.responder("近"), await world.responder("远", phone="13947100002")
    off = await world.responder("下班", phone="13947100003")
    baotou = await world.responder("包头", phone="13947100004", division="150203000000")
    async with world.db.transaction() as tx:
        await service.report_position(tx, near, 40.8571, 111.6901, 10, world.now)
        await service.report_position(tx, far, 40.90, 111.80, 10, world.now)
        await service.report_position(tx, baotou, 40.8570, 111.6900, 10, world.now)
        await roster_store.set_duty(tx, off, False)
    incident = await world.claimed(operator)
    async with world.db.connection() as conn:
        found = await service.suggestions(conn, incident, world.later(30))
    assert [one.name for one in found] == ["近", "远"]
    await world.sent(incident, near, operator)
    async with world.db.connection() as conn:
        again = await incidents.get(conn, incident.id)
        assert again
        found = await service.suggestions(conn, again, world.later(30))
    assert [one.name for one in found] == ["远"]


async def test_an_older_fix_does_not_replace_a_newer_one(world: World) -> None:
    one = await world.responder()
    async with world.db.transaction() as tx:
        assert await service.report_position(tx, one, 40.8, 111.6, 10, world.later(60))
        assert not await service.report_position(tx, one, 41.0, 112.0, 10, world.now)
        with pytest.raises(Invalid):
            await service.report_position(tx, one, 91.0, 111.6, 10, world.now)
        with pytest.raises(Invalid):
            await service.report_position(tx, one, float("nan"), 111.6, 10, world.now)
