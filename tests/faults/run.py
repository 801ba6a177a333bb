"""One run: devices publish, operators work, the test breaks something, the books must balance."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from app.demo.operator import ScriptedOperator
from app.demo.simulator import SentAlarm
from kernel.clock import utcnow
from tests.faults import books
from tests.faults.books import Balance, Stored
from tests.faults.installation import Installation, until
from tests.faults.load import Load, Sent, scenario

LINES: list[str] = []
"""What each run came to; shown at the end of the session."""
_seats: dict[int, list[ScriptedOperator]] = {}


class Run:
    """A load that is under way. `settle` ends it and checks everything."""

    def __init__(
        self, name: str, installation: Installation, load: Load, before: Stored, since: datetime
    ) -> None:
        self.name = name
        self.installation = installation
        self.load = load
        self.since = since
        self._before = before
        self._others: list[tuple[Counter[str], Counter[str], list[SentAlarm]]] = []

    def also(self, messages: Counter[str], readings: Counter[str], alarms: list[SentAlarm]) -> None:
        """Have the books count what somebody else has sent in the names of the load's devices."""
        self._others.append((messages, readings, alarms))

    async def messages(self) -> int:
        """How many messages are stored, of all runs."""
        return await self.installation.count("SELECT count(*) FROM ingest_message")

    async def activations(self) -> int:
        """How often alarms have rung, in all runs."""
        return await self.installation.count("SELECT count(*) FROM incident_activation")

    async def more(self, messages: int = 100, activations: int = 1) -> None:
        """Wait until so many more messages and activations than now are stored."""
        wanted = await self.messages() + messages, await self.activations() + activations

        async def there() -> bool:
            return await self.messages() >= wanted[0] and await self.activations() >= wanted[1]

        await until(there, f"{messages} more messages and {activations} more activations")

    async def settle(self, *, wills: bool = True, may_lose: int = 0) -> Balance:
        """End the load; nothing may be lost (but `may_lose`), doubled or left open.

        `wills` says whether every device that was cut off must have been reported by its last will:
        a broker that was away had nobody to say it for.
        """
        sent = await self.load.finish()
        for others in self._others:
            sent = sent.plus(*others)
        db = self.installation.db

        async def complete() -> bool:
            result = await self.balance(sent)
            told = not result.wills_lost or not wills
            return result.lost <= may_lose and told and await self._quiet()

        try:
            await until(complete, "everything to be stored and resolved")
        finally:
            result = await self.balance(sent)
            LINES.append(f"{self.name}: {result}")
            print(LINES[-1])  # noqa: T201 - the line of the run
        assert (result.doubled, result.letters) == (0, 0), result
        assert result.lost <= may_lose, result
        assert not wills or (result.wills_lost, result.wills_invented) == (0, 0), result
        await books.check_alarms(db, sent, self.since, complete=not result.lost)
        await books.check_incidents(db)
        seats = _seats.get(id(self.installation), [])
        await books.check_rung(db, seats, self.since)
        return result

    async def balance(self, sent: Sent) -> Balance:
        now = await books.stored(self.installation.db)
        return books.balance(sent, now.since(self._before))

    async def _quiet(self) -> bool:
        """Nothing is open, and ingest holds nothing that it has not committed."""
        left = await self.installation.count(
            "SELECT count(*) FROM incident WHERE status <> 'resolved'"
        )
        for lane in ("bulk", "express", "tcp"):
            sample = f'silverline_ingest_queue_depth{{lane="{lane}"}}'
            left += int(await self.installation.metric("ingest", sample) or 0)
        return left == 0


@asynccontextmanager
async def loaded(
    name: str,
    installation: Installation,
    wanted: str = "short-rescue",
    rate: float = 1.0,
    *,
    watches: bool = True,
) -> AsyncIterator[Run]:
    """Devices publish while the body runs, those on TCP too (`watches`); no operators yet."""
    before = await books.stored(installation.db)
    since = utcnow()
    load = Load(installation, scenario(wanted), rate, len(LINES) + 1, watches)
    load.start()
    try:
        yield Run(name, installation, load, before, since)
    finally:
        load.abandon()


@asynccontextmanager
async def seated(installation: Installation) -> AsyncIterator[list[ScriptedOperator]]:
    """Operators at work while the body runs; what they saw is kept for the checks."""
    async with installation.operators() as seats:
        _seats.setdefault(id(installation), []).extend(seats)
        yield seats


@asynccontextmanager
async def running(
    name: str,
    installation: Installation,
    wanted: str = "short-rescue",
    rate: float = 1.0,
    *,
    watches: bool = True,
) -> AsyncIterator[Run]:
    """Operators at their seats, devices publishing."""
    async with (
        seated(installation),
        loaded(name, installation, wanted, rate, watches=watches) as run,
    ):
        yield run
