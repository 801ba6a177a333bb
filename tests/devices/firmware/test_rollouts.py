"""Roll-outs on a real database: who is asked when, what devices say, how it ends."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from devices.firmware import rules, service, update_store
from devices.firmware.machine import RolloutAction
from devices.firmware.model import Package, Progress, Rollout, RolloutState
from devices.firmware.rules import Verdict
from devices.firmware.shelf import Stored
from devices.messages import UpdateProgress
from kernel.auth.model import Actor
from kernel.db import Database, fetch_tuples
from kernel.errors import Conflict, Invalid, NotFound
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device, add_person

MINUTE = timedelta(minutes=1)
SHARE = "40, 100"
"""Who is of a share is drawn anew for each roll-out: of forty it is never nobody, and never all."""
URL = "https://12349.example.org"


class Yard:
    """Forty watches that are online with 1.4.2, and one roll-out of 1.5.0."""

    def __init__(self, db: Database, actor: Actor, now: datetime) -> None:
        self.db, self.actor, self.now = db, actor, now
        self.package: Package
        self.rollout: Rollout

    async def fill(self) -> None:
        async with self.db.transaction() as tx:
            for number in range(40):
                await add_device(
                    tx, self.actor, self.now, f"W-{number:02}",
                    division=YUQUAN if number % 4 == 0 else XINCHENG,
                )  # fmt: skip
            await add_device(tx, self.actor, self.now, "P-1", profile="sl-pendant-1")
            await tx.execute("UPDATE device SET online = true, firmware = '1.4.2'")
            self.package = await service.add_package(
                tx, Stored("ab" * 32, 1000), profile="sl-watch-1", version="1.5.0", notes="",
                file_name="w.bin", actor=self.actor, now=self.now,
            )  # fmt: skip

    async def start(self, **more: Any) -> Rollout:
        how: dict[str, Any] = {
            "division": "1501", "steps": SHARE, "canaries": [], "soak_minutes": 0,
            "failure_percent": 20,
        }  # fmt: skip
        async with self.db.transaction() as tx:
            self.rollout = await service.start_rollout(
                tx, self.package.id, actor=self.actor, now=self.now, **(how | more)
            )
        return self.rollout

    async def look(self) -> Verdict | None:
        async with self.db.transaction() as tx:
            return await service.advance(tx, self.rollout.id, URL, self.now)

    async def asked(self) -> dict[int, tuple[uuid.UUID, dict[str, Any]]]:
        """Device number → its command and arguments, of the updates that are open."""
        async with self.db.connection() as conn:
            rows = await fetch_tuples(
                conn,
                "SELECT c.device_no, c.id, c.args FROM device_command c"
                " JOIN firmware_update u ON u.command_id = c.id"
                " WHERE u.state IN ('offered', 'downloading', 'downloaded')"
                " AND c.name = 'update' ORDER BY 1",
            )
        return {row[0]: (row[1], row[2]) for row in rows}

    async def say(self, no: int, state: str, percent: int = 0, detail: str = "") -> None:
        command, _ = (await self.asked())[no]
        progress = UpdateProgress(str(command), state, percent, detail)
        async with self.db.transaction() as tx:
            await service.note_progress(tx, [(no, progress)], self.now)

    async def install(self, *numbers: int) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(
                "UPDATE device SET firmware = '1.5.0' WHERE no = ANY(%s)", (list(numbers),)
            )

    async def progress(self) -> Progress:
        async with self.db.connection() as conn:
            return (await service.overview(conn, self.rollout.id, self.actor, "", 0, 1))[1]

    async def state(self) -> tuple[RolloutState, int, str]:
        async with self.db.connection() as conn:
            found = await service.get_rollout(conn, self.rollout.id, self.actor)
        return found.state, found.step, found.reason


@pytest.fixture
async def yard(db: Database, now: datetime) -> Yard:
    async with db.transaction() as tx:
        actor = await add_person(tx, now)
    made = Yard(db, actor, now)
    await made.fill()
    return made


async def test_canaries_first_then_a_share_then_everybody(yard: Yard) -> None:
    await yard.start(canaries=["W-07", "W-08", "W-07"])
    await yard.look()
    first = await yard.asked()
    async with yard.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT id FROM device WHERE no = ANY(%s)", (list(first),))
    assert {row[0] for row in rows} == {"W-07", "W-08"}
    args = next(iter(first.values()))[1]
    assert args["url"].startswith(f"{URL}/firmware/")
    assert (args["sha256"], args["size"], args["version"]) == ("ab" * 32, 1000, "1.5.0")
    assert await yard.look() is Verdict.GO_ON
    await yard.install(*first)
    assert await yard.look() is Verdict.NEXT_STEP
    await yard.look()
    second = await yard.asked()
    assert 0 < len(second) < 34
    await yard.install(*second)
    assert await yard.look() is Verdict.NEXT_STEP
    await yard.look()
    third = await yard.asked()
    assert len(first) + len(second) + len(third) == 40
    await yard.install(*third)
    assert await yard.look() is Verdict.COMPLETE
    assert (await yard.state())[0] is RolloutState.COMPLETED
    assert await yard.look() is None
    assert (await yard.progress()).installed == 40


async def test_what_devices_say_is_seen_and_only_the_version_counts_as_installed(
    yard: Yard,
) -> None:
    await yard.start(steps="100")
    await yard.look()
    [one, two, *_] = await yard.asked()
    await yard.say(one, "downloading", 40)
    await yard.say(two, "downloaded", 100)
    progress = await yard.progress()
    assert (progress.offered, progress.downloading, progress.downloaded) == (38, 1, 1)
    assert progress.installed == 0
    await yard.say(one, "failed", 0, "checksum")
    await yard.install(two)
    await yard.look()
    progress = await yard.progress()
    assert (progress.installed, progress.failed) == (1, 1)
    # It tried again by itself and made it.
    await yard.install(one)
    await yard.look()
    assert (await yard.progress()).installed == 2
    # Nobody speaks for another device.
    three, command = next((no, each[0]) for no, each in (await yard.asked()).items())
    async with yard.db.transaction() as tx:
        said = UpdateProgress(str(command), "failed")
        nonsense = UpdateProgress("nonsense", "failed")
        await service.note_progress(tx, [(three + 1, said), (three, nonsense)], yard.now)
    assert (await yard.progress()).failed == 0


async def test_too_many_failures_end_it_and_take_everything_back(yard: Yard) -> None:
    await yard.start(steps="100")
    await yard.look()
    numbers = list(await yard.asked())
    for no in numbers[:3]:
        await yard.say(no, "failed", 0, "checksum")
    await yard.install(*numbers[3:6])
    assert await yard.look() is Verdict.ABORT
    assert await yard.state() == (RolloutState.ABORTED, 0, service.TOO_MANY_FAILURES)
    progress = await yard.progress()
    assert (progress.installed, progress.failed, progress.withdrawn) == (3, 3, 34)
    async with yard.db.connection() as conn:
        rows = await fetch_tuples(
            conn, "SELECT count(*) FROM device_command WHERE state IN ('queued', 'sent')"
        )
    # Those that failed or did it have still to answer to the command itself.
    assert rows == [(6,)]


async def test_a_device_that_goes_back_to_its_old_version_has_failed(yard: Yard) -> None:
    await yard.start(canaries=["W-07", "W-08"], soak_minutes=60)
    await yard.look()
    numbers = list(await yard.asked())
    await yard.install(*numbers)
    await yard.look()
    assert (await yard.progress()).installed == 2

    async def says(version: str, no: int) -> None:
        async with yard.db.transaction() as tx:
            await tx.execute("UPDATE device SET firmware = %s WHERE no = %s", (version, no))

    # One is brought on by hand, the other does not start and takes itself back.
    await says("1.6.0", numbers[0])
    await says("1.4.2", numbers[1])
    yard.now += 61 * MINUTE
    assert await yard.look() is Verdict.NEXT_STEP
    progress = await yard.progress()
    assert (progress.installed, progress.failed) == (1, 1)
    async with yard.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT detail FROM firmware_update WHERE state = 'failed'")
    assert rows == [("rolled_back",)]
    # It tries once more and stays with it.
    await says("1.5.0", numbers[1])
    await yard.look()
    assert (await yard.progress()).failed == 0


async def test_where_the_only_canary_fails_nobody_else_is_asked(yard: Yard) -> None:
    await yard.start(canaries=["W-07"])
    await yard.look()
    [no] = await yard.asked()
    await yard.say(no, "failed", 0, "checksum")
    assert await yard.look() is Verdict.ABORT
    assert await yard.state() == (RolloutState.ABORTED, 0, service.TOO_MANY_FAILURES)
    assert await yard.asked() == {}


async def test_a_device_without_a_word_for_two_hours_has_failed(yard: Yard) -> None:
    await yard.start(steps="100", failure_percent=100)
    await yard.look()
    numbers = list(await yard.asked())
    yard.now += rules.NO_ANSWER / 2
    await yard.say(numbers[0], "downloading", 10)
    yard.now += rules.NO_ANSWER / 2 + MINUTE
    await yard.look()
    progress = await yard.progress()
    assert (progress.failed, progress.downloading) == (39, 1)


async def test_a_device_that_is_switched_off_has_not_failed_and_is_asked_again(yard: Yard) -> None:
    await yard.start(steps="100")
    await yard.look()
    [away, begun, *_] = before = await yard.asked()
    await yard.say(begun, "downloading", 10)

    async def turn(online: bool) -> None:
        async with yard.db.transaction() as tx:
            await tx.execute(
                "UPDATE device SET online = %s WHERE no = ANY(%s)", (online, [away, begun])
            )

    await turn(online=False)
    await yard.install(*list(before)[2:])
    yard.now += rules.NO_ANSWER + MINUTE
    assert await yard.look() is Verdict.GO_ON
    progress = await yard.progress()
    # Who had begun should have made it by now, wherever it is.
    assert (progress.failed, progress.installed, progress.pending) == (1, 38, 1)
    async with yard.db.connection() as conn:
        rows = await fetch_tuples(
            conn, "SELECT state FROM device_command WHERE id = %s", (before[away][0],)
        )
    assert rows == [("expired",)]
    await turn(online=True)
    await yard.look()
    again = await yard.asked()
    assert list(again) == [away]
    assert again[away][1]["url"] != before[away][1]["url"]


async def test_paused_it_asks_nobody_and_resumed_it_goes_on(yard: Yard) -> None:
    await yard.start(steps=SHARE)

    async def do(action: RolloutAction, version: int, reason: str = "") -> Rollout:
        async with yard.db.transaction() as tx:
            return await service.change_rollout(
                tx, yard.rollout.id, action, reason=reason, version=version, actor=yard.actor,
                now=yard.now,
            )  # fmt: skip

    await do(RolloutAction.PAUSE, 1)
    assert await yard.look() is None
    assert await yard.asked() == {}
    with pytest.raises(Conflict):
        await do(RolloutAction.PAUSE, 2)
    with pytest.raises(Conflict):
        await do(RolloutAction.RESUME, 1)
    await do(RolloutAction.RESUME, 2)
    await yard.look()
    assert await yard.asked()
    with pytest.raises(Invalid):
        await do(RolloutAction.ABORT, 3, " ")
    ended = await do(RolloutAction.ABORT, 3, "新版本耗电")
    assert (ended.state, ended.reason) == (RolloutState.ABORTED, "新版本耗电")
    assert await yard.asked() == {}


async def test_it_stays_in_its_division_and_two_do_not_meet(yard: Yard) -> None:
    await yard.start(division="150104", steps="100")
    await yard.look()
    assert len(await yard.asked()) == 10
    with pytest.raises(Conflict):
        await yard.start(division="1501")
    with pytest.raises(Conflict):
        await yard.start(division="150104003")
    for wrong, fields in (
        ({"division": "1502"}, {"division": "outside"}),
        ({"steps": "50"}, {"steps": "form"}),
        # Of another model, of nobody, of another place: nobody would have tried it before the many.
        ({"canaries": ["W-07", "P-1"]}, {"canaries": "unknown"}),
        ({"canaries": ["W-99"]}, {"canaries": "unknown"}),
        ({"canaries": ["W-07"], "division": "150104"}, {"canaries": "unknown"}),
        ({"soak_minutes": -1, "failure_percent": 0},
         {"soak_minutes": "range", "failure_percent": "range"}),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            await yard.start(**wrong)
        assert refused.value.fields == fields
    async with yard.db.transaction() as tx:
        stranger = await add_person(tx, yard.now, username="sarna", division="150102")
        with pytest.raises(NotFound):
            await service.get_rollout(tx, yard.rollout.id, stranger)
        with pytest.raises(Conflict):
            await service.withdraw_package(tx, yard.package.id, yard.actor, yard.now)


async def test_a_link_is_good_for_one_whole_download_and_for_a_day(yard: Yard) -> None:
    await yard.start(steps="100")
    await yard.look()
    tokens = [args["url"].rpartition("/")[2] for _, args in (await yard.asked()).values()]

    async def use(token: str, after: timedelta = MINUTE) -> bool:
        async with yard.db.transaction() as tx:
            try:
                found = await service.open_download(tx, token, yard.now + after)
            except NotFound:
                return False
            return found.sha256 == "ab" * 32

    # It broke off, was begun again, and came through.
    assert await use(tokens[0])
    assert await use(tokens[0])
    async with yard.db.transaction() as tx:
        await service.download_done(tx, tokens[0], yard.now + MINUTE)
    assert not await use(tokens[0])
    # Begun again and again it is over too.
    assert [await use(tokens[1]) for _ in range(6)] == [True] * 5 + [False]
    assert not await use(tokens[2], rules.TOKEN_LIFE)
    assert not await use("nonsense")
    async with yard.db.transaction() as tx:
        await update_store.withdraw_open(tx, yard.rollout.id, yard.now)
    assert not await use(tokens[3])


async def test_a_version_is_there_once_until_it_is_withdrawn(yard: Yard) -> None:
    async def add() -> Package:
        async with yard.db.transaction() as tx:
            return await service.add_package(
                tx, Stored("cd" * 32, 5), profile="sl-watch-1", version="1.5.0", notes="",
                file_name="b.bin", actor=yard.actor, now=yard.now,
            )  # fmt: skip

    with pytest.raises(Invalid) as refused:
        await add()
    assert refused.value.fields == {"version": "taken"}
    async with yard.db.transaction() as tx:
        await service.withdraw_package(tx, yard.package.id, yard.actor, yard.now)
    assert (await add()).sha256 == "cd" * 32
    with pytest.raises(Conflict):
        await yard.start()
