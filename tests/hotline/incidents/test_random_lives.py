"""Random lives of an incident: no sequence breaks the table's CHECKs or the timeline.

Each life runs against the real database: alarms, claims, dispatches, taps, keys and deadlines in
any order, by people who hold it, do not, or look at an old page. Whatever is refused is refused as
a DomainError and leaves no trace.
"""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.alarms import AlarmKind, ClearedCondition
from hotline.contacts import service as contacts
from hotline.contacts import store as contact_store
from hotline.contacts.model import AttemptStatus
from hotline.dispatch import service as dispatches
from hotline.dispatch import store as dispatch_store
from hotline.dispatch.model import DispatchAction
from hotline.escalation.jobs import due_deadlines
from hotline.incidents import machine, service
from hotline.incidents import store as incidents
from hotline.incidents.model import Resolution, Status
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import DomainError
from tests.hotline.world import PUBLIC_URL, Person, World

WORDS = (
    "alarm", "clear", "acknowledge", "release", "hand_over", "send", "on_scene", "resolve",
    "reopen", "note", "call", "tap", "withdraw", "report", "time",
)  # fmt: skip


class Life:
    """One incident and what may happen to it."""

    def __init__(self, world: World, people: list[Actor], seed: int) -> None:
        self.world = world
        self.people = people
        self.choose = random.Random(seed)
        self.now = world.now
        self.elder: Person
        self.incident_id: uuid.UUID
        self.responders: list[uuid.UUID] = []

    async def begin(self) -> None:
        self.elder = await self.world.elder(contacts=2)
        self.incident_id = (await self.world.opened(self.elder)).id

    async def step(self, word: str) -> None:
        self.now += timedelta(seconds=self.choose.randint(1, 90))
        act: Callable[[], Awaitable[object]] = getattr(self, f"do_{word}")
        with contextlib.suppress(DomainError):
            await act()

    def _actor(self) -> Actor:
        return self.choose.choice(self.people)

    async def _version(self) -> int:
        seen = (await self.world.incident(self.incident_id)).version
        return seen if self.choose.random() < 0.85 else max(1, seen - 1)

    async def _with_tx(self, use: Callable[[Tx], Awaitable[object]]) -> None:
        async with self.world.db.transaction() as tx:
            await use(tx)

    async def do_alarm(self) -> None:
        alarm = await self.world.alarm(self.elder, AlarmKind.SOS)
        await self.world.react(alarm, self.now)

    async def do_clear(self) -> None:
        cleared = ClearedCondition(AlarmKind.SOS, None, self.elder.id, self.now)
        await self._with_tx(lambda tx: service.condition_cleared(tx, cleared, self.now))

    async def _change(self, use: Callable[[Tx, int, Actor], Awaitable[object]]) -> None:
        version, actor = await self._version(), self._actor()
        await self._with_tx(lambda tx: use(tx, version, actor))

    async def do_acknowledge(self) -> None:
        await self._change(
            lambda tx, v, a: service.acknowledge(tx, self.incident_id, v, a, self.now)
        )

    async def do_release(self) -> None:
        await self._change(lambda tx, v, a: service.release(tx, self.incident_id, v, a, self.now))

    async def do_hand_over(self) -> None:
        to = self._actor().user_id or uuid.uuid4()
        await self._change(
            lambda tx, v, a: service.hand_over(tx, self.incident_id, v, to, a, self.now)
        )

    async def do_on_scene(self) -> None:
        await self._change(
            lambda tx, v, a: service.on_scene(tx, self.incident_id, v, "", a, self.now)
        )

    async def do_resolve(self) -> None:
        kind = self.choose.choice(list(Resolution))
        await self._change(
            lambda tx, v, a: service.resolve(tx, self.incident_id, v, kind, "因为", a, self.now)
        )

    async def do_reopen(self) -> None:
        await self._change(
            lambda tx, v, a: service.reopen(tx, self.incident_id, v, "再看", a, self.now)
        )

    async def do_note(self) -> None:
        await self._change(
            lambda tx, _, a: service.add_note(tx, self.incident_id, "备注", a, self.now)
        )

    async def do_call(self) -> None:
        await self._change(
            lambda tx, _, a: contacts.call_contacts_in_order(tx, self.incident_id, a, self.now)
        )

    async def do_send(self) -> None:
        outgoing = dispatches.Outgoing(self.world.cipher, PUBLIC_URL)
        responder = self.choose.choice(self.responders)
        await self._change(
            lambda tx, v, a: dispatches.send(
                tx, self.incident_id, v, responder, outgoing, a, self.now
            )
        )

    async def do_tap(self) -> None:
        async with self.world.db.connection() as conn:
            found = await dispatch_store.of_incident(conn, self.incident_id)
        if found:
            one, action = self.choose.choice(found), self.choose.choice(list(DispatchAction))
            await self._with_tx(lambda tx: dispatches.respond(tx, one.id, action, self.now))

    async def do_withdraw(self) -> None:
        async with self.world.db.connection() as conn:
            found = await dispatch_store.of_incident(conn, self.incident_id)
        if found:
            one = self.choose.choice(found).id
            await self._change(
                lambda tx, v, a: dispatches.withdraw(tx, self.incident_id, v, one, a, self.now)
            )

    async def do_report(self) -> None:
        async with self.world.db.connection() as conn:
            found = await contact_store.of_incident(conn, self.incident_id)
        if found:
            one = str(self.choose.choice(found).id)
            status = self.choose.choice(list(AttemptStatus))
            digits = self.choose.choice([None, "1", "2", "3", "9"])
            await self._with_tx(
                lambda tx: contacts.attempt_progress(tx, one, status, digits, self.now)
            )

    async def do_time(self) -> None:
        self.now += timedelta(seconds=self.choose.choice([30, 120, 900]))
        await due_deadlines(self.world.db, self.now)

    async def check(self) -> None:
        """The timeline leads to the row, and what waits fits the status."""
        async with self.world.db.connection() as conn:
            for incident_id in await self._all():
                incident = await incidents.get(conn, incident_id)
                assert incident
                replayed = machine.replay(await incidents.events(conn, incident_id))
                assert replayed == (incident.status, incident.version)
                open_dispatches = [
                    d.status
                    for d in await dispatch_store.of_incident(conn, incident_id)
                    if d.status in {"notified", "accepted", "en_route"}
                ]
                if incident.status is Status.RESOLVED:
                    assert open_dispatches == []
                kinds = {kind for kind, _, _ in await self.world.deadlines(incident_id)}
                assert ("escalate" in kinds) <= (incident.status is Status.OPEN)

    async def _all(self) -> list[uuid.UUID]:
        async with self.world.db.connection() as conn:
            cursor = await conn.execute(
                "SELECT id FROM incident WHERE elder_id = %s", (self.elder.id,)
            )
            return [row[0] for row in await cursor.fetchall()]


async def test_no_life_breaks_the_checks_or_the_timeline(world: World) -> None:
    people = [await world.user("王芳"), await world.user("赵敏")]
    responders = [
        await world.responder("斯琴"),
        await world.responder("马志强", phone="13947100002"),
    ]
    await world.duty_phone("13947100009", user=people[1])
    lives: list[tuple[int, list[str]]] = []

    # Hypothesis drives synchronous functions; the lives it makes up are lived on our own loop.
    @settings(
        max_examples=40, database=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(
        st.integers(0, 2**32),
        st.lists(st.sampled_from(WORDS), min_size=5, max_size=40),
    )
    def make_up(seed: int, words: list[str]) -> None:
        lives.append((seed, words))

    make_up()
    assert len(lives) >= 40
    for seed, words in lives:
        life = Life(world, people, seed)
        life.responders = responders
        await life.begin()
        for word in ("acknowledge", *words):
            await life.step(word)
        await life.check()


async def test_many_hands_at_once_neither_deadlock_nor_break_the_timeline(world: World) -> None:
    people = [await world.user("王芳"), await world.user("赵敏")]
    first = Life(world, people, 0)
    first.responders = [
        await world.responder("斯琴"),
        await world.responder("马志强", phone="13947100002"),
    ]
    await first.begin()

    async def hands(seed: int) -> None:
        life = Life(world, people, seed)
        life.elder, life.incident_id = first.elder, first.incident_id
        life.responders = first.responders
        for _ in range(25):
            await life.step(life.choose.choice(WORDS))

    await asyncio.gather(*(hands(seed) for seed in range(1, 7)))
    await first.check()
