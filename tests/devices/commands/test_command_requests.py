"""Who may ask what of which device, with which arguments, and how a command ends."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from devices.commands import jobs, rules, service, store
from devices.commands.machine import TRANSITIONS, CommandEvent, next_state
from devices.commands.model import Command, CommandName, CommandState
from devices.messages import CommandAck
from devices.profiles import PROFILES
from devices.profiles.model import Capability
from devices.registry import access
from devices.registry.model import Device
from kernel.auth.model import SYSTEM, Actor, Role
from kernel.db import Database, Tx, execute, fetch_tuples, fetch_value
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tests.devices.registry.world import add_device, add_person


@pytest.fixture
async def technician(tx: Tx, now: datetime) -> Actor:
    return await add_person(tx, now)


@pytest.fixture
async def spare(tx: Tx, technician: Actor, now: datetime) -> Device:
    return await add_device(tx, technician, now, "S-0001")


@pytest.fixture
async def watch(tx: Tx, technician: Actor, now: datetime) -> Device:
    return await add_device(tx, technician, now, "W-0193")


async def ask(
    tx: Tx, device: Device, name: str, actor: Actor, now: datetime, **args: Any
) -> Command:
    return await service.request(tx, device.no, name, args, actor, now)


async def state(tx: Tx, command: Command) -> CommandState:
    return (await service.get(tx, command.id)).state


def test_a_settled_command_is_settled() -> None:
    ends = {CommandState.ACKNOWLEDGED, CommandState.REFUSED}
    assert {before for before, _ in TRANSITIONS} & ends == set()
    assert next_state(CommandState.EXPIRED, CommandEvent.SEND) is None
    assert next_state(CommandState.EXPIRED, CommandEvent.REFUSE) is None


async def test_a_request_is_queued_with_its_effect_and_in_the_audit_log(
    db: Database, now: datetime
) -> None:
    async with db.transaction() as tx:
        technician = await add_person(tx, now)
        watch = await add_device(tx, technician, now, "W-0193")
        asked = await ask(tx, watch, "speak", technician, now, text="云桂兰，该吃药了")
    assert (asked.state, asked.created_by) == (CommandState.QUEUED, "巴图")
    assert asked.expires_at > now
    async with db.connection() as conn:
        effects = await fetch_tuples(conn, "SELECT topic, payload FROM outbox")
        log = await fetch_tuples(
            conn, "SELECT action, detail::text FROM audit_log ORDER BY seq DESC LIMIT 1"
        )
    assert ("device.command", {"command_id": str(asked.id)}) in effects
    assert log[0][0] == "device.command_requested"
    # What is said to a person is nobody's business who reads the log.
    assert "吃药" not in log[0][1]


async def test_the_same_request_twice_is_one_command(
    tx: Tx, watch: Device, technician: Actor, now: datetime
) -> None:
    first = await ask(tx, watch, "ring", technician, now)
    again = await ask(tx, watch, "ring", technician, now + timedelta(seconds=2))
    longer = await ask(tx, watch, "ring", technician, now, seconds=60)
    later = await ask(tx, watch, "ring", technician, first.expires_at)
    assert first.id == again.id
    assert len({first.id, longer.id, later.id}) == 3


@pytest.mark.parametrize(("profile", "again"), [("z2m-siren", True), ("sl-watch-1", False)])
async def test_a_siren_that_has_sounded_can_be_rung_again(
    tx: Tx, technician: Actor, now: datetime, profile: str, again: bool
) -> None:
    # A Zigbee siren says nothing back; what a watch has not answered is sent again anyway.
    device = await add_device(tx, technician, now, "S-1", profile=profile)
    first = await ask(tx, device, "ring", technician, now)
    assert (await ask(tx, device, "ring", technician, now)).id == first.id
    await store.tried(tx, first.id, now)
    await store.left(tx, first.id, now)
    second = await ask(tx, device, "ring", technician, now + timedelta(minutes=1))
    assert (second.id != first.id) is again


async def test_a_newer_setting_takes_the_place_of_an_older_one(
    tx: Tx, watch: Device, technician: Actor, now: datetime
) -> None:
    older = await ask(tx, watch, "set_interval", technician, now, seconds=60)
    newer = await ask(tx, watch, "set_interval", technician, now, seconds=600)
    pulse = await ask(tx, watch, "set_thresholds", technician, now, heart_rate={"high": 120})
    other = await ask(tx, watch, "set_thresholds", technician, now, spo2={"low": 90})
    assert await state(tx, older) is CommandState.EXPIRED
    for each in (newer, pulse, other):
        assert await state(tx, each) is CommandState.QUEUED


async def test_an_operator_may_find_a_person_and_nothing_else(
    tx: Tx, watch: Device, technician: Actor, now: datetime
) -> None:
    operator = replace(technician, roles=frozenset({Role.OPERATOR}))
    manager = replace(technician, roles=frozenset({Role.CARE_MANAGER}))
    for name in ("locate", "ring"):
        await ask(tx, watch, name, operator, now)
        with pytest.raises(Forbidden):
            await ask(tx, watch, name, manager, now)
    with pytest.raises(Forbidden):
        await ask(tx, watch, "reboot", operator, now)
    with pytest.raises(NotFound):
        await ask(tx, watch, "ring", replace(operator, division="150105"), now)
    await ask(tx, watch, "reboot", SYSTEM, now)


@pytest.mark.parametrize(
    ("name", "args", "wrong"),
    [
        ("locate", {"where": 1}, {"where": "unknown"}),
        ("ring", {"seconds": 0}, {"seconds": "range"}),
        ("ring", {"seconds": True}, {"seconds": "range"}),
        ("speak", {}, {"text": "required"}),
        ("speak", {"text": "字" * 201}, {"text": "too_long"}),
        ("speak", {"text": "a\x00b", "language": "中文"}, {"text": "form", "language": "form"}),
        ("speak", {"text": "一行\n两行"}, {"text": "form"}),
        ("speak", {"text": "一行\u2028两行"}, {"text": "form"}),
        ("speak", {"text": "\ud83d"}, {"text": "form"}),
        ("set_interval", {}, {"seconds": "range"}),
        ("set_interval", {"seconds": 1.5}, {"seconds": "range"}),
        ("set_thresholds", {}, {"metric": "required"}),
        ("set_thresholds", {"pulse": {"low": 1}}, {"pulse": "unknown"}),
        ("set_thresholds", {"spo2": {"low": 99, "high": 90}}, {"spo2": "range"}),
        ("set_thresholds", {"spo2": {"low": float("nan")}}, {"spo2": "range"}),
        ("dance", {}, {"name": "unknown"}),
    ],
)
async def test_wrong_arguments_are_refused(
    tx: Tx, watch: Device, technician: Actor, now: datetime,
    name: str, args: dict[str, Any], wrong: dict[str, str],
) -> None:  # fmt: skip
    with pytest.raises(Invalid) as refused:
        await service.request(tx, watch.no, name, args, technician, now)
    assert refused.value.fields == wrong


@pytest.mark.parametrize(
    ("profile", "low", "high"),
    [
        ("sl-watch-1", 10, 86_400),
        ("setracker-4g", 60, 65_535),
        ("ls-ws301", 60, 64_800),
        ("tasmota-sensor", 10, 3600),
    ],
)
async def test_an_interval_that_a_protocol_cannot_say_is_refused_when_it_is_asked(
    tx: Tx, technician: Actor, now: datetime, profile: str, low: int, high: int
) -> None:
    device = await add_device(tx, technician, now, "X-1", profile=profile)
    for seconds in (low - 1, high + 1):
        with pytest.raises(Invalid) as refused:
            await ask(tx, device, "set_interval", technician, now, seconds=seconds)
        assert refused.value.fields == {"seconds": "range"}
    for seconds in (low, high):
        await ask(tx, device, "set_interval", technician, now, seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "云桂兰　该吃药了",
        # Mongolian: a narrow space before endings, a separator before a final vowel.
        "ᠮᠣᠩᠭᠣᠯ\u202fᠤᠨ ᠬᠠᠷ\u180eᠠ",
        "ئۇيغۇرچە\u200f!",
        "👩\u200d⚕️ 来了",
    ],
)
async def test_what_people_write_can_be_said(
    tx: Tx, watch: Device, technician: Actor, now: datetime, text: str
) -> None:
    asked = await ask(tx, watch, "speak", technician, now, text=text)
    assert asked.args == {"text": text}


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=8)])
async def test_a_command_has_an_end_in_reach(
    tx: Tx, watch: Device, technician: Actor, now: datetime, life: timedelta
) -> None:
    with pytest.raises(Invalid):
        await service.request(tx, watch.no, "ring", {}, technician, now, now + life)


async def test_a_device_is_asked_only_what_its_model_can(
    tx: Tx, technician: Actor, now: datetime
) -> None:
    bed = await add_device(tx, technician, now, "B-0001", profile="sl-bed-1")
    door = await add_device(tx, technician, now, "D-0001", profile="sl-door-1")
    await add_device(tx, technician, now, "H-0001", profile="sl-gateway-1")
    behind = await add_device(
        tx, technician, now, "B-0002", profile="sl-bed-1", gateway_id="H-0001"
    )
    await ask(tx, bed, "set_interval", technician, now, seconds=60)
    for device, name in ((bed, "locate"), (bed, "ring"), (door, "reboot"), (behind, "reboot")):
        with pytest.raises(Conflict):
            await ask(tx, device, name, technician, now)


async def test_every_model_that_claims_commands_takes_some(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, SYSTEM, now, "W-9")
    claiming = [one.code for one in PROFILES.values() if Capability.COMMANDS in one.capabilities]
    assert "setracker-4g" in claiming
    for profile in claiming:
        assert rules.available(replace(device, profile=profile)), profile


@pytest.mark.parametrize(
    ("profile", "commands"),
    [
        ("setracker-4g", {"locate", "ring", "speak", "set_interval", "reboot"}),
        # No screen to read a text on.
        ("setracker-pendant", {"locate", "ring", "set_interval", "reboot"}),
        ("iw-watch", {"locate", "ring", "speak", "set_interval", "reboot"}),
        ("jt808-locator", {"locate", "set_interval", "reboot"}),
        ("jt808-speaker", {"locate", "speak", "set_interval", "reboot"}),
        ("gt06-locator", {"locate", "set_interval", "reboot"}),
        ("minifinder-pendant", set()),
        ("scaip-controller", set()),
    ],
)
def test_a_model_takes_what_its_protocol_and_itself_can(
    profile: str, commands: set[str], spare: Device
) -> None:
    assert set(rules.available(replace(spare, profile=profile))) == commands


async def test_a_command_knows_every_name_of_its_device_and_its_gateway(
    tx: Tx, technician: Actor, now: datetime
) -> None:
    bridge = await add_device(tx, technician, now, "GW-1", profile="z2m-bridge")
    watch = await add_device(
        tx, technician, now, "4G-1", profile="setracker-4g", address="8800000015"
    )
    await access.add_alias(tx, watch.no, "setracker", "867777041234567", actor=technician, now=now)
    asked = await ask(tx, watch, "ring", technician, now)
    sent = await store.outgoing(tx, asked.id, now)
    assert sent is not None
    assert sent.addresses("setracker") == ("867777041234567", "8800000015")
    assert sent.addresses("gt06") == ("4G-1",)
    assert (sent.gateway_id, sent.gateway_profile) == (None, None)
    await execute(tx, "UPDATE device SET gateway_no = %s WHERE no = %s", (bridge.no, watch.no))
    behind = await store.outgoing(tx, asked.id, now)
    assert behind is not None
    as_asked = rules.asked(behind, "8800000015", now)
    assert (as_asked.gateway, as_asked.base_topics) == ("GW-1", ("zigbee2mqtt",))


@pytest.mark.parametrize("ok", [True, False])
async def test_an_answer_by_number_settles_only_an_open_command_with_it(
    tx: Tx, technician: Actor, now: datetime, ok: bool
) -> None:
    device = await add_device(tx, technician, now, "T-1", profile="gt06-locator")
    asked = await ask(tx, device, "reboot", technician, now)
    number = asked.id.int % 2**32
    right = CommandAck("", ok, "said", number=number, modulus=2**32)
    wrong = replace(right, number=number ^ 1)
    narrowed = replace(right, names=frozenset({CommandName.LOCATE}))
    # Not even sent: nobody can have answered.
    for each in (right, wrong, narrowed):
        await service.settle(tx, [(device.no, each)], now)
        assert await state(tx, asked) is CommandState.QUEUED
    await store.tried(tx, asked.id, now)
    await store.left(tx, asked.id, now)
    for each in (wrong, narrowed):
        await service.settle(tx, [(device.no, each)], now)
        assert await state(tx, asked) is CommandState.SENT
    await service.settle(tx, [(device.no, right)], now)
    expected = CommandState.ACKNOWLEDGED if ok else CommandState.REFUSED
    assert await state(tx, asked) is expected


async def test_a_late_answer_to_an_older_setting_is_none_to_the_newer_one(
    tx: Tx, technician: Actor, now: datetime
) -> None:
    # A watch that repeats the word alone; its answer to the first is slow.
    device = await add_device(tx, technician, now, "T-1", profile="setracker-4g")
    asked = []
    for seconds in (60, 600):
        one = await ask(tx, device, "set_interval", technician, now, seconds=seconds)
        await store.tried(tx, one.id, now)
        await store.left(tx, one.id, now)
        asked.append(one)
    older, newer = asked
    yes = CommandAck("UPLOAD", ok=True, names=frozenset({CommandName.SET_INTERVAL}))
    await service.settle(tx, [(device.no, yes)], now)
    assert await state(tx, older) is CommandState.ACKNOWLEDGED
    assert await state(tx, newer) is CommandState.SENT
    await service.settle(tx, [(device.no, yes)], now)
    assert await state(tx, newer) is CommandState.ACKNOWLEDGED


async def test_a_refusal_is_of_the_setting_that_still_counts(
    tx: Tx, technician: Actor, now: datetime
) -> None:
    device = await add_device(tx, technician, now, "T-1", profile="tasmota-sensor")
    older = await ask(tx, device, "set_interval", technician, now, seconds=60)
    await store.left(tx, older.id, now)
    newer = await ask(tx, device, "set_interval", technician, now, seconds=600)
    await store.left(tx, newer.id, now)
    no = CommandAck("", ok=False, names=frozenset({CommandName.SET_INTERVAL}))
    await service.settle(tx, [(device.no, no)], now)
    assert await state(tx, older) is CommandState.EXPIRED
    assert await state(tx, newer) is CommandState.REFUSED


async def test_only_the_device_itself_settles_its_command_and_only_once(
    tx: Tx, watch: Device, technician: Actor, now: datetime
) -> None:
    other = await add_device(tx, technician, now, "W-0002")
    asked = await ask(tx, watch, "ring", technician, now)
    yes = CommandAck(str(asked.id), ok=True, detail="rang")
    no = CommandAck(str(asked.id), ok=False, detail="no")
    stray = [CommandAck("not a number", ok=True), CommandAck(str(uuid.uuid4()), ok=True)]
    await service.settle(tx, [(other.no, yes), *((watch.no, each) for each in stray)], now)
    assert await state(tx, asked) is CommandState.QUEUED
    await service.settle(tx, [(watch.no, yes)], now)
    await service.settle(tx, [(watch.no, no)], now + timedelta(seconds=1))
    done = await service.get(tx, asked.id)
    assert (done.state, done.detail, done.settled_at) == (CommandState.ACKNOWLEDGED, "rang", now)


async def test_what_was_done_in_time_counts_though_the_answer_came_late(
    db: Database, now: datetime
) -> None:
    async with db.transaction() as tx:
        technician = await add_person(tx, now)
        watch = await add_device(tx, technician, now, "W-0193")
        asked = await ask(tx, watch, "ring", technician, now)
    await jobs.resend(db, asked.expires_at)
    async with db.transaction() as tx:
        assert await state(tx, asked) is CommandState.EXPIRED
        assert await store.outgoing(tx, asked.id, now) is None
        await service.settle(tx, [(watch.no, CommandAck(str(asked.id), ok=True))], now)
        assert await state(tx, asked) is CommandState.ACKNOWLEDGED


async def test_pauses_grow_and_a_silent_device_is_left_alone(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        technician = await add_person(tx, now)
        watch = await add_device(tx, technician, now, "W-0193")
        asked = await ask(tx, watch, "reboot", technician, now)
        await store.tried(tx, asked.id, now)
        await store.left(tx, asked.id, now)
    tried_at = []
    for second in range(0, 200):
        at = now + timedelta(seconds=second)
        async with db.transaction() as tx:
            if second == 60:
                await execute(
                    tx, "UPDATE device SET online = true, last_seen_at = %s WHERE no = %s",
                    (at, watch.no),
                )  # fmt: skip
            before = await fetch_value(tx, "SELECT count(*) FROM outbox")
        await jobs.resend(db, at)
        async with db.transaction() as tx:
            if await fetch_value(tx, "SELECT count(*) FROM outbox") > before:
                tried_at.append(second)
                due = await fetch_value(tx, "SELECT due_at FROM device_command")
                await store.tried(tx, asked.id, due)
                await store.left(tx, asked.id, at)
    assert tried_at == [60, 70, 90, 130, 190]
