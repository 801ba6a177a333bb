"""Lets a whole shift log in from one address in the same second.

Attempts under way count against the limit of their address, else guesses at the same moment would
be any number of guesses (attempts.py). So who comes as the twenty-first is not refused while others
of the address are still being looked at, but waits until one of them turns out to be right and
gives its place back. Nobody gets more guesses by it: the limit is what it was, and who waits has
not guessed yet.

It knows the attempts of its own process; those of another one count as failed until forgiven.
"""

import asyncio
from collections import deque
from datetime import datetime
from typing import Self
from weakref import WeakValueDictionary

from kernel.auth import attempts
from kernel.auth.attempts import Attempt, TooManyFromAddress
from kernel.db import Database, Tx

LONGEST_WAIT = 15.0
"""Seconds: in this time one core looks at the passwords of a hundred people."""
MOST_WAITING = 100
"""More of one address are no shift."""


class _Door:
    """How many of an address are being looked at, and who waits, the first come first."""

    def __init__(self) -> None:
        self.busy = 0
        self.right = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def leave(self, *, right: bool) -> None:
        """Be done. A failure gives no place back.

        But the last one wakes somebody all the same, who finds out that there is none to wait for.
        """
        self.busy -= 1
        self.right += right
        if right or not self.busy:
            self._wake_one()

    async def wait(self, until: float) -> None:
        """Return when it is worth another try. Raises TimeoutError when it never is."""
        if not self.busy or len(self._waiting) >= MOST_WAITING:
            raise TimeoutError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(until):
                await turn
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled():
                # It was this one's turn: the next must not wait in vain.
                self._wake_one()
            raise

    def _wake_one(self) -> None:
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if self._waiting:
            self._waiting.popleft().set_result(None)


# A door is there for as long as somebody is at it.
_doors: WeakValueDictionary[tuple[int, str], _Door] = WeakValueDictionary()


class Place:
    """An attempt that has its place; being looked at ends with the `with` block."""

    def __init__(self, attempt: Attempt, door: _Door) -> None:
        self.attempt = attempt
        self._door = door
        self._right = False

    async def forgive(self, tx: Tx) -> None:
        """The attempt was right: it does not count."""
        await attempts.forgive(tx, self.attempt)
        self._right = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.leave(right=self._right)


async def enter(db: Database, username: str, client_ip: str, now: datetime) -> Place:
    """Take a place for an attempt, if need be one that another attempt gives back.

    The caller enters it at once. Raises TooManyFromAddress or LockedOut.
    """
    door = _doors.setdefault((id(db), attempts.address_key(client_ip)), _Door())
    until = asyncio.get_running_loop().time() + LONGEST_WAIT
    while True:
        door.busy += 1
        before = door.right
        try:
            async with db.transaction() as tx:
                return Place(await attempts.take_place(tx, username, client_ip, now), door)
        except TooManyFromAddress as refusal:
            door.leave(right=False)
            if door.right == before:
                try:
                    await door.wait(until)
                except TimeoutError:
                    raise refusal from None
        except BaseException:
            door.leave(right=False)
            raise
