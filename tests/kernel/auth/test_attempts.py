"""Limits on guessing: five wrong passwords lock a name, twenty an address."""

import asyncio
from datetime import datetime, timedelta

import pytest

from kernel.auth import admission, attempts, service, users
from kernel.auth.attempts import LockedOut, TooManyFromAddress, address_key
from kernel.auth.model import SYSTEM
from kernel.auth.service import LoginRefused, NewSession
from kernel.db import Database, fetch_value
from kernel.errors import DomainError
from kernel.jobs import prune
from tests.kernel.auth.conftest import PASSWORD, MakeUser


async def try_login(
    db: Database,
    now: datetime,
    password: str = "wrong-password",  # noqa: S107
    *,
    username: str = "wang.fang",
    ip: str = "203.0.113.7",
) -> NewSession:
    return await service.login(
        db, username=username, password=password, client_ip=ip, user_agent="", now=now
    )


async def outcome(db: Database, now: datetime, *args: str, **how: str) -> str:
    try:
        await try_login(db, now, *args, **how)
    except DomainError as error:
        return error.code
    return "in"


@pytest.mark.parametrize("username", ["wang.fang", "nobody-by-this-name"])
async def test_the_fifth_failure_locks_the_name_whether_it_exists_or_not(
    db: Database, make_user: MakeUser, now: datetime, username: str
) -> None:
    await make_user()
    seen = [await outcome(db, now, username=username) for _ in range(6)]
    assert seen == ["login_refused"] * 4 + ["locked_out"] * 2
    with pytest.raises(LockedOut) as caught:
        await try_login(db, now, PASSWORD, username=username.upper())
    assert caught.value.facts["locked_until"] == now + timedelta(minutes=15)
    assert 0 < caught.value.facts["retry_after"] <= 901
    assert caught.value.status == 429


async def test_a_locked_name_opens_after_fifteen_minutes(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    await make_user()
    for _ in range(5):
        await outcome(db, now)
    assert await outcome(db, now + timedelta(minutes=14, seconds=59), PASSWORD) == "locked_out"
    later = now + timedelta(minutes=15, seconds=1)
    assert await outcome(db, later) == "login_refused"
    assert await outcome(db, later, PASSWORD) == "in"


async def test_asking_while_locked_does_not_lengthen_the_lock(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    await make_user()
    for minute in range(14):
        await outcome(db, now + timedelta(minutes=minute), ip=f"198.51.100.{minute}")
        await outcome(db, now + timedelta(minutes=minute), ip=f"198.51.100.{minute}")
    assert await outcome(db, now + timedelta(minutes=18), PASSWORD) == "in"


async def test_a_success_forgets_the_failures_before_it(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    await make_user()
    for _ in range(3):
        seen = [await outcome(db, now) for _ in range(4)]
        assert seen == ["login_refused"] * 4
        assert await outcome(db, now, PASSWORD) == "in"


async def test_failures_far_apart_do_not_add_up(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    await make_user()
    for number in range(8):
        moment = now + timedelta(minutes=16 * number)
        assert await outcome(db, moment) == "login_refused"


async def test_guesses_at_the_same_moment_are_not_more_than_five(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    await make_user()
    seen = await asyncio.gather(
        *(outcome(db, now, ip=f"198.51.100.{number}") for number in range(30))
    )
    assert seen.count("login_refused") == 4
    assert seen.count("locked_out") == 26
    async with db.connection() as tx:
        assert await fetch_value(tx, "SELECT count(*) FROM login_attempt") == 5


async def test_twenty_failures_close_an_address_for_every_name(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    await make_user()
    seen = await asyncio.gather(
        *(outcome(db, now, username=f"name-{number}") for number in range(25))
    )
    assert sorted(seen) == ["login_refused"] * 20 + ["too_many_from_address"] * 5
    with pytest.raises(TooManyFromAddress) as caught:
        await try_login(db, now, PASSWORD)
    assert caught.value.facts["retry_after"] == 300
    assert await outcome(db, now, PASSWORD, ip="203.0.113.8") == "in"
    assert await outcome(db, now + timedelta(minutes=5, seconds=1), PASSWORD) == "in"


async def test_a_whole_shift_logs_in_from_one_address(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    await make_user()
    assert {await outcome(db, now, PASSWORD) for _ in range(22)} == {"in"}


async def test_a_whole_shift_may_log_in_in_the_same_second(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    names = [f"operator-{number}" for number in range(45)]
    for name in names:
        await make_user(name)
    seen = await asyncio.gather(*(outcome(db, now, PASSWORD, username=name) for name in names))
    assert set(seen) == {"in"}
    assert len(admission._doors) == 0


async def test_a_shift_with_slips_among_it_gets_in_as_far_as_the_limit_goes(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    names = [f"operator-{number}" for number in range(30)]
    for name in names:
        await make_user(name)
    wrong = [outcome(db, now, username=name) for name in names[:10]]
    right = [outcome(db, now, PASSWORD, username=name) for name in names]
    seen = await asyncio.gather(*wrong, *right)
    assert seen == ["login_refused"] * 10 + ["in"] * 30


async def test_who_waits_for_a_place_gets_no_guess_more(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    """Guesses in the crowd of a shift: twenty of them fail, whatever is right beside them."""
    names = [f"operator-{number}" for number in range(20)]
    for name in names:
        await make_user(name)
    guesses = [outcome(db, now, username=f"name-{number}") for number in range(150)]
    right = [outcome(db, now, PASSWORD, username=name) for name in names]
    crowd = [each for pair in zip(guesses[:20], right, strict=True) for each in pair]
    seen = await asyncio.gather(*crowd, *guesses[20:])
    assert seen.count("login_refused") == 20
    assert seen.count("in") + seen.count("too_many_from_address") == 150
    async with db.connection() as tx:
        failed = await fetch_value(tx, "SELECT count(*) FROM login_attempt WHERE NOT succeeded")
    assert failed == 20
    assert await outcome(db, now, PASSWORD, username=names[0]) == "too_many_from_address"
    assert len(admission._doors) == 0


async def test_who_goes_away_while_waiting_leaves_the_turn_to_the_next(
    db: Database, make_user: MakeUser, now: datetime
) -> None:
    names = [f"operator-{number}" for number in range(40)]
    for name in names:
        await make_user(name)
    tasks = [asyncio.create_task(outcome(db, now, PASSWORD, username=name)) for name in names]
    async with asyncio.timeout(20):
        while not any(door._waiting for door in admission._doors.values()):
            await asyncio.sleep(0)
    for task in tasks[25:35]:
        task.cancel()
    seen = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each for each in seen if not isinstance(each, asyncio.CancelledError)].count("in") >= 30
    assert "too_many_from_address" not in seen
    assert not any(door.busy or door._waiting for door in admission._doors.values())


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(ip: str, key: str) -> None:
    assert address_key(ip) == key


async def test_ipv6_neighbours_share_their_limit(db: Database, now: datetime) -> None:
    for number in range(20):
        await outcome(db, now, username=f"n{number}", ip=f"2001:db8::{number + 1:x}")
    assert await outcome(db, now, ip="2001:db8::ffff") == "too_many_from_address"
    assert await outcome(db, now, ip="2001:db8:0:1::1") == "login_refused"


async def test_the_administrator_unlocks(db: Database, make_user: MakeUser, now: datetime) -> None:
    user = await make_user()
    for _ in range(5):
        await outcome(db, now)
    async with db.transaction() as tx:
        assert (await users.get(tx, SYSTEM, user.id)).locked_until == now + timedelta(minutes=15)
        await users.unlock_user(tx, SYSTEM, user.id, now)
        assert (await users.get(tx, SYSTEM, user.id)).locked_until is None
    assert await outcome(db, now, PASSWORD) == "in"


async def test_old_counts_are_forgotten(db: Database, now: datetime) -> None:
    with pytest.raises(LoginRefused):
        await try_login(db, now)
    await prune(db, now + timedelta(hours=23))
    async with db.transaction() as tx:
        assert await fetch_value(tx, "SELECT count(*) FROM login_lock") == 1
        assert not await attempts.unlock(tx, "somebody-else")
    await prune(db, now + timedelta(hours=25))
    async with db.connection() as tx:
        assert await fetch_value(tx, "SELECT count(*) FROM login_lock") == 0
