"""Vitals in columns come to what they come to one by one: rows, identities, rules, refusals."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.modes.model import Modes
from devices.registry.model import DeviceContext, DeviceState
from ingest import steps
from ingest.detection.defaults import CLOCK_LIMIT, VITALS
from ingest.detection.model import NO_WATCH, ElderWatch, Limits
from ingest.detection.movement import MovementTracker
from ingest.detection.service import Book, Case, judge
from ingest.pipeline import _part
from ingest.vitals.model import Columns, Speaker
from ingest.vitals.rules import _LATE, Reader, plain_from
from ingest.work import Part, Sheaf

NOW = datetime(2026, 3, 5, 14, 3, 7, 123456, tzinfo=UTC)
OWN = ElderWatch(
    limits={
        "heart_rate": Limits(40, 45, 150, 170),
        "spo2": Limits(None, 85.0, None, None),
        "glucose": Limits(None, None, None, 9.5),
    }
)


def device(no: int, name: str, **more: Any) -> DeviceContext:
    known: dict[str, Any] = {
        "profile": "sl-watch-1",
        "state": DeviceState.BOUND,
        "division_code": "150105002003",
        "elder_id": uuid.UUID(int=no),
    }
    return DeviceContext(no, name, **(known | more))


DEVICES = {
    "W-1": (device(1, "W-1"), NO_WATCH),
    "W-2": (device(2, "W-2"), OWN),
    "W-3": (device(3, "W-3", elder_id=None, state=DeviceState.STOCK), NO_WATCH),
    "W-4": (device(4, "W-4", modes=Modes(test_until=NOW + timedelta(hours=1))), NO_WATCH),
    "W-7": (device(17, "W-7", modes=Modes(test_until=NOW)), NO_WATCH),
    "W-5": (device(5, "W-5", state=DeviceState.RETIRED), NO_WATCH),
    "W-6": (device(6, "W-6", profile="z2m-smoke"), NO_WATCH),
    "G-1": (device(7, "G-1", profile="sl-gateway-1", elder_id=None), NO_WATCH),
    "B-1": (device(8, "B-1", gateway_no=7, gateway_id="G-1"), NO_WATCH),
    "B-2": (device(9, "B-2", gateway_no=7, gateway_id="G-1"), OWN),
    "B-9": (device(10, "B-9", gateway_no=99, gateway_id="G-9"), NO_WATCH),
}


def reader() -> Reader:
    known = {
        name: Speaker(context, watch, 0.0, plain_from(context))
        for name, (context, watch) in DEVICES.items()
    }
    return Reader(known, MovementTracker())


def sheaf_of(frames: list[tuple[str, bytes]]) -> Sheaf:
    topics = [f"silverline/v1/{sender}/vitals".encode() for sender, _ in frames]
    nothing = [0] * len(frames)
    return Sheaf(topics, [body for _, body in frames], nothing, nothing, NOW, lambda _: None)


def ordinary(sheaf: Sheaf, index: int) -> tuple[list[Part], bool]:
    """What the steps make of a frame, and whether anything of it would be refused."""
    work = steps.decode(sheaf.delivery(index))
    if work.decoded is None:
        return [], True
    parts: list[Part] = []
    several = len(work.decoded.messages) > 1
    for place, message in enumerate(work.decoded.messages):
        if message.device not in DEVICES or (message.via and message.via not in DEVICES):
            work.refuse("unknown_device", "")
            continue
        context, watch = DEVICES[message.device]
        gateway = DEVICES[message.via][0] if message.via else None
        if steps.refusal(context, gateway, work, message.via):
            work.refuse("foreign_device", "")
            continue
        part = _part(work.delivery, several, place, message, context, watch)
        for step in (
            steps.interpret_states, steps.make_identity, steps.check_time, steps.take_readings,
        ):  # fmt: skip
            step(part, work)
        steps.observe(part, MovementTracker())
        parts.append(part)
    return parts, bool(work.letters)


def columns_of(columns: Columns, index: int) -> list[tuple[Any, ...]]:
    """(identity, device, rows) of each message of a frame, as the columns have it."""
    found = []
    for place, frame in enumerate(columns.frame):
        if frame != index:
            continue
        key = uuid.UUID(int=int(columns.high[place]) << 64 | int(columns.low[place]))
        rows = [
            (int(columns.time[place]), int(columns.metric[at]), float(columns.value[at]),
             int(columns.quality[at]))
            for at in range(len(columns.owner))
            if columns.owner[at] == place
        ]  # fmt: skip
        found.append((key, int(columns.device_no[place]), rows))
    return found


edges = sorted(
    {
        value + shift
        for rule in VITALS.values()
        for limit in (
            rule.limits.low_critical, rule.limits.low_major, rule.limits.high_major,
            rule.limits.high_critical,
        )
        if limit is not None
        for shift in (-0.1, 0, 0.1)
        for value in (limit,)
    }
)  # fmt: skip
values: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(edges),
    st.sampled_from([45, 45.0, 85, 9.5, 60, 72, 97, 150]),
    st.integers(-5, 300),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from([True, None, "72", 10**30, -0.0, [], 1e308]),
)
metrics = st.sampled_from(
    [*VITALS, "steps", "battery", "weight", "roll_count", "motion", "door_open", "made_up", ""]
)
vitals = st.one_of(
    st.dictionaries(metrics, values, max_size=5),
    st.dictionaries(st.sampled_from([*VITALS, "steps"]), st.integers(30, 200), min_size=1),
    st.sampled_from([None, [], "x", 7]),
)
offsets = st.one_of(
    st.integers(-10_000, 10_000),
    st.integers(-600_000, 600_000),
    st.sampled_from(
        [-400 * 86_400_000, -400 * 86_400_000 - 1, 300_000, 299_999, 10**15, -(10**14)]
    ),
)
moments = st.one_of(
    offsets.map(lambda offset: int(NOW.timestamp() * 1000) + offset),
    st.sampled_from([None, -1, 0, 1.5, "now", 2**48, True]),
)
numbers = st.one_of(
    st.integers(0, 2**33), st.sampled_from([0, 7.0, 7.5, -1, 2**32 - 1, 2**32, 2**63, None, "1"])
)
sessions = st.one_of(st.text(max_size=18), st.sampled_from(["a1", "", " x", "\x00", "京", None, 5]))
extras: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({}),
    st.dictionaries(
        st.sampled_from(["test", "replayed", "battery", "device", "batch", "kind"]),
        st.sampled_from([True, False, None, "W-1", 1]),
        max_size=2,
    ),
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {"seq": draw(numbers), "t": draw(moments), "vitals": draw(vitals)}
    if draw(st.booleans()):
        found["sid"] = draw(sessions)
    return found | draw(extras)


senders = st.sampled_from([*DEVICES, "W-404", "B-1", "W-1"])


@st.composite
def frames(draw: st.DrawFn) -> tuple[str, bytes]:
    if draw(st.booleans()):
        return draw(senders), json.dumps(draw(messages())).encode()
    elements = draw(st.lists(messages(), max_size=4))
    for element in elements:
        if draw(st.booleans()):
            element["device"] = draw(senders)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    payload = json.dumps({"batch": elements}, separators=separators).encode()
    return draw(st.sampled_from(["G-1", "G-1", "W-1"])), payload


@settings(max_examples=400, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=4))
def test_columns_hold_what_the_ordinary_way_would_store(wanted: list[tuple[str, bytes]]) -> None:
    sheaf = sheaf_of(wanted)
    found = reader().read(sheaf, oldest=-1.0)
    columns = found.columns
    taken = [index for index in range(len(sheaf)) if index not in found.odd]
    assert (columns.frames if columns else 0) == len(taken)
    for index in taken:
        assert columns is not None
        parts, refused = ordinary(sheaf, index)
        assert not refused
        assert columns_of(columns, index) == [
            (
                part.identity.key,
                part.device.no,
                [(round(row.time.timestamp() * 1e6), row.metric, row.value, row.quality)
                 for row in part.rows],
            )
            for part in parts
        ]  # fmt: skip
        assert not any(part.urgent or part.signals or part.identity.copies for part in parts)


@settings(max_examples=400, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=4))
def test_a_message_that_is_not_near_a_limit_is_normal_to_every_rule(
    wanted: list[tuple[str, bytes]],
) -> None:
    sheaf = sheaf_of(wanted)
    columns = reader().read(sheaf, oldest=-1.0).columns
    if columns is None:
        return
    for place, frame in enumerate(columns.frame):
        behind = int(NOW.timestamp() * 1e6) - int(columns.time[place])
        if place in columns.near or behind > CLOCK_LIMIT.total_seconds() * 1e6:
            continue
        parts, _ = ordinary(sheaf, frame)
        part = parts[place - columns.frame.index(frame)]
        book = Book({})
        case = Case(part.device, part.watch, part.observation, part.signals, bool(part.movement))
        assert judge([case], book, NOW) == []
        assert book.changed == {}


def plain(seq: int, **more: Any) -> bytes:
    said = {"seq": seq, "t": int(NOW.timestamp() * 1000), "vitals": {"heart_rate": 72, "spo2": 97}}
    return orjson.dumps(said | more)


def test_the_commonest_messages_do_go_into_columns() -> None:
    batch = {"batch": [{"device": name, **orjson.loads(plain(1))} for name in ("B-1", "B-2")]}
    sheaf = sheaf_of([("W-1", plain(1)), ("G-1", orjson.dumps(batch)), ("W-2", plain(1, sid="a1"))])
    found = reader().read(sheaf, oldest=-1.0)
    assert found.odd == []
    assert found.columns is not None
    assert found.columns.device_no.tolist() == [1, 8, 9, 2]
    assert found.columns.near == []
    assert [each.no for each in found.columns.gateways] == [7]


@pytest.mark.parametrize(
    ("sender", "payload"),
    [
        ("W-1", plain(1, test=True)),
        ("W-1", plain(1, replayed=True)),
        ("W-1", plain(1, note="more than v1 knows")),
        ("W-1", plain(1, vitals={"door_open": 1})),
        ("W-1", plain(1, t=int(NOW.timestamp() * 1000) + 301_000)),
        ("W-4", plain(1)),
        ("W-5", plain(1)),
        ("W-6", plain(1)),
        ("W-1", b'{"seq":1,"t":1,"vitals":{"heart_rate":7'),
        ("W-1", plain(1) + b" " * 70_000),
    ],
)
def test_whatever_is_special_goes_the_ordinary_way(sender: str, payload: bytes) -> None:
    found = reader().read(sheaf_of([("W-1", plain(0)), (sender, payload)]), oldest=-1.0)
    assert found.odd == [1]


def test_a_device_whose_test_is_over_is_like_any_other() -> None:
    sheaf = sheaf_of([("W-7", plain(1)), ("W-4", plain(1))])
    found = reader().read(sheaf, oldest=-1.0)
    assert found.columns is not None
    assert ([each.no for each in found.columns.speakers], found.odd) == ([17], [1])


def test_what_is_known_of_a_device_goes_out_of_date() -> None:
    found = reader().read(sheaf_of([("W-1", plain(1))]), oldest=1.0)
    assert found.columns is None
    assert found.unknown == {"W-1"}


def test_in_a_backlog_only_what_is_later_than_the_rest_speaks_of_a_clock() -> None:
    assert CLOCK_LIMIT.total_seconds() * 1e6 >= _LATE

    def late(minutes: float) -> bytes:
        return plain(1, t=int((NOW - timedelta(minutes=minutes)).timestamp() * 1000))

    def near(*minutes: float) -> list[int]:
        columns = reader().read(sheaf_of([("W-1", late(each)) for each in minutes]), -1.0).columns
        assert columns is not None
        return columns.near

    assert near(0, 0, 6) == [2]
    assert near(20, 20, 20.5) == []
    assert near(20, 20, 26) == [2]


def test_a_counter_that_goes_up_shows_that_somebody_moves() -> None:
    sheaf = sheaf_of(
        [("W-1", plain(n, vitals={"steps": steps})) for n, steps in enumerate((7, 7, 9))]
    )
    read = reader()
    columns = read.read(sheaf, oldest=-1.0).columns
    assert columns is not None
    read.note_movements(columns)
    assert columns.moved == {2: "steps"}
