"""A carrier in memory that works: calls ring and are answered or not, texts arrive.

For the demonstration, tests and an installation that has no telephone line yet. It reports by the
same way as a real one (`attempt_progress`), with the delays of people, and places the same
reference once only. What it knows is gone when its process ends; the deadlines in the database
notice that and go on.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import structlog

from hotline.contacts.model import AttemptStatus
from hotline.contacts.service import attempt_progress
from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS, Database
from kernel.ports import CarrierError, OutgoingCall, OutgoingText

log = structlog.get_logger(__name__)
_REPORT_TRIES = 5
_REPORT_PAUSE = 0.5
# What is remembered; a demonstration that runs for weeks must not grow.
_REMEMBERED = 2000


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens when a number is called.

    `outcome` is `answered`, `no_answer`, `busy` or `failed`; the phone rings for `ring_s` seconds,
    a conversation takes `talk_s`; `digits` are pressed when the call asks for a key. A number with
    `invalid` is refused for ever, as a carrier refuses a wrong one.
    """

    outcome: str = "no_answer"
    ring_s: float = 20.0
    talk_s: float = 5.0
    digits: str | None = None
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """How people behave: `default` for everybody, `numbers` for those who are told apart."""

    default: Behaviour = field(default_factory=Behaviour)
    numbers: Mapping[str, Behaviour] = field(default_factory=lambda: MappingProxyType({}))


@dataclass
class SimulatedCall:
    """A call that was placed; `answered` is set by somebody who picks up in the demonstration."""

    call: OutgoingCall
    carrier_id: str
    digits: str | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class SimulatedCarrier:
    """Implements `kernel.ports.Carrier` in memory."""

    def __init__(self, db: Database, settings: SimulationSettings | None = None) -> None:
        self._db = db
        self._settings = settings or SimulationSettings()
        self._numbers = dict(self._settings.numbers)
        self.calls: dict[str, SimulatedCall] = {}
        self.texts: dict[str, OutgoingText] = {}

    def script(self, number: str, behaviour: Behaviour) -> None:
        """Tell what a number does from now on."""
        self._numbers[number] = behaviour

    async def place_call(self, call: OutgoingCall) -> str:
        """Let the number ring; the same reference again is the same call."""
        known = self.calls.get(call.reference)
        if known is not None:
            return known.carrier_id
        behaviour = self._behaviour(call.to)
        placed = SimulatedCall(call, f"sim-call-{call.reference}")
        self.calls[call.reference] = placed
        _forget_oldest(self.calls)
        placed.task = asyncio.create_task(self._live(placed, behaviour), name=placed.carrier_id)
        return placed.carrier_id

    async def send_text(self, text: OutgoingText) -> str:
        """Keep the text; the same reference again is the same text."""
        self._behaviour(text.to)
        self.texts.setdefault(text.reference, text)
        _forget_oldest(self.texts)
        return f"sim-text-{text.reference}"

    def answer(self, reference: str, digits: str | None = None) -> bool:
        """Pick up a ringing call and press keys; False when it does not ring (any more)."""
        placed = self.calls.get(reference)
        if placed is None or placed.task is None or placed.task.done():
            return False
        placed.digits = digits
        placed.answered.set()
        return True

    async def close(self) -> None:
        """Hang up everything."""
        tasks = [placed.task for placed in self.calls.values() if placed.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _behaviour(self, number: str) -> Behaviour:
        behaviour = self._numbers.get(number, self._settings.default)
        if behaviour.invalid or not number.isdigit():
            raise CarrierError("the number does not exist", permanent=True)
        return behaviour

    async def _live(self, placed: SimulatedCall, behaviour: Behaviour) -> None:
        if behaviour.outcome in {AttemptStatus.BUSY, AttemptStatus.FAILED}:
            await self._report(placed, AttemptStatus(behaviour.outcome))
            return
        await self._report(placed, AttemptStatus.RINGING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(behaviour.ring_s):
                await placed.answered.wait()
        if not placed.answered.is_set():
            if behaviour.outcome != "answered":
                await self._report(placed, AttemptStatus.NO_ANSWER)
                return
            placed.digits = behaviour.digits
        digits = placed.digits if placed.call.gather else None
        await self._report(placed, AttemptStatus.IN_PROGRESS)
        if digits:
            await self._report(placed, AttemptStatus.IN_PROGRESS, digits)
        await asyncio.sleep(behaviour.talk_s)
        await self._report(placed, AttemptStatus.COMPLETED, digits)

    async def _report(
        self, placed: SimulatedCall, status: AttemptStatus, digits: str | None = None
    ) -> None:
        """Report like a carrier's webhook: tried again while our side does not answer."""
        for attempt in range(1, _REPORT_TRIES + 1):
            try:
                async with self._db.transaction() as tx:
                    await attempt_progress(tx, placed.call.reference, status, digits, utcnow())
            except TRANSIENT_ERRORS as error:
                log.warning("carrier.report_failed", attempt=attempt, error=type(error).__name__)
                await asyncio.sleep(_REPORT_PAUSE * attempt)
            else:
                return


def _forget_oldest(memory: dict[str, Any]) -> None:
    while len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
