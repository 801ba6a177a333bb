"""The order of batches that are written at the same time.

While one transaction waits for the disk, the next one can fill its tables. But what is judged, is
judged in the order in which it came: a batch goes on to the rules only when the one before it is
committed, and begins anew when that one has to.
"""

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 2.0
"""Some tenths of a second are usual. Longer, and what was copied is worth less than the doubt."""


class OvertakenError(Exception):
    """The batch before could not be committed yet: ours is rolled back and waits."""


class Turn:
    """A batch's place behind the one before it (None: nothing is before it)."""

    def __init__(self, before: "Turn | None" = None) -> None:
        self._before = before
        self._begun = asyncio.Event()
        self._ended = asyncio.Event()
        self._settled = asyncio.Event()

    async def begins(self) -> None:
        """Wait until the batch before is in the tables with its marks. Raises OvertakenError.

        The batch before must never wait in the database for us, who wait here for it. It would for
        a mark of ours, if a message is in both; and for its entry, because whoever maintains the
        tables waits for all that have entered and keeps out all that come later.
        """
        await self._behind(lambda before: before._begun)

    def has_begun(self) -> None:
        """The batch has entered the tables and left its marks."""
        self._begun.set()

    @property
    def begun(self) -> bool:
        """Whether the one behind may have begun, too."""
        return self._begun.is_set()

    async def comes(self) -> None:
        """Wait until the batch before is committed. Raises OvertakenError when it has to go back.

        Or when it takes long: it may be waiting for something that ours holds until its end (a
        chunk of a hypertable that both need first). Whoever gets the error rolls back, which lets
        the one before go on, and calls `is_first` before trying again.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._behind(lambda before: before._ended)
        except TimeoutError as error:
            raise OvertakenError from error

    async def _behind(self, event: "Callable[[Turn], asyncio.Event]") -> None:
        before = self._before
        if before is None:
            return
        await event(before).wait()
        if before._ended.is_set() and not before._settled.is_set():
            raise OvertakenError

    async def is_first(self) -> None:
        """Wait until the batch before is done with, however long it takes."""
        if self._before is not None:
            await self._before._settled.wait()

    def fails(self) -> None:
        """A try has failed: those behind must not wait inside of a transaction."""
        self._ended.set()
        self._begun.set()

    def settle(self) -> None:
        """The batch is committed."""
        self._settled.set()
        self._ended.set()
        self._begun.set()
        # Or every batch would keep alive all those before it.
        self._before = None
