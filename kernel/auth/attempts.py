"""Limits on guessing passwords: by address and by name, counted before the password is looked at.

An attempt takes its place first and is forgiven when it succeeds, so a hundred guesses at the same
moment are not a hundred guesses. Names that do not exist are counted like those that do.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernel.db import Tx, execute, fetch_one, fetch_value
from kernel.errors import RateLimited

ADDRESS_LIMIT = 20
ADDRESS_WINDOW = timedelta(minutes=5)
NAME_LIMIT = 5
LOCK = timedelta(minutes=15)


class TooManyFromAddress(RateLimited):
    """The address has failed too often; `retry_after` is in seconds."""

    code = "too_many_from_address"


class LockedOut(RateLimited):
    """The name is locked after failures in a row; `locked_until` says when it opens again."""

    code = "locked_out"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has taken its place. `locked_until` is set when it was the last one."""

    id: int
    name: str
    locked_until: datetime | None


def address_key(client_ip: str) -> str:
    """Return what is counted: an IPv4 address, or the /64 network that an IPv6 address is in."""
    address = ipaddress.ip_address(client_ip)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def name_key(username: str) -> str:
    """Return the name as it is counted; what nobody can be called is cut, not stored whole."""
    return username.replace("\0", "").encode("utf-8", "ignore").decode().lower()[:64]


async def take_place(tx: Tx, username: str, client_ip: str, now: datetime) -> Attempt:
    """Count an attempt. Raises TooManyFromAddress or LockedOut without counting it.

    Only attempts that have not succeeded count against an address: a whole shift logs in from
    behind one. In the same second, too: admission.py waits for those under way.
    """
    address, name = address_key(client_ip), name_key(username)
    # One at a time for each address, else a burst would read the count before any of it is there.
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (address,))
    failed = await fetch_value(
        tx,
        "SELECT count(*) FROM login_attempt"
        " WHERE client_ip = %s::inet AND at > %s AND NOT succeeded",
        (address, now - ADDRESS_WINDOW),
    )
    if failed >= ADDRESS_LIMIT:
        raise TooManyFromAddress(
            "Too many failed logins from this address; wait a few minutes.",
            retry_after=int(ADDRESS_WINDOW.total_seconds()),
        )
    locked_until = await _count_name(tx, name, now)
    attempt_id = await fetch_value(
        tx,
        "INSERT INTO login_attempt (at, client_ip, succeeded)"
        " VALUES (%s, %s::inet, false) RETURNING id",
        (now, address),
    )
    return Attempt(int(attempt_id), name, locked_until)


@dataclass(frozen=True, slots=True)
class _Lock:
    failures: int
    last_attempt_at: datetime
    locked_until: datetime | None


async def _count_name(tx: Tx, name: str, now: datetime) -> datetime | None:
    # The update that changes nothing locks the row; a plain insert and select would race with a
    # success that deletes it.
    lock = await fetch_one(
        tx,
        _Lock,
        "INSERT INTO login_lock (username, failures, last_attempt_at) VALUES (%s, 0, %s)"
        " ON CONFLICT (username) DO UPDATE SET username = excluded.username"
        " RETURNING failures, last_attempt_at, locked_until",
        (name, now),
    )
    if lock is None:
        raise RuntimeError("an upsert returned no row")
    if lock.locked_until and lock.locked_until > now:
        raise LockedOut(
            "This account is locked after too many failed logins.",
            locked_until=lock.locked_until,
            retry_after=int((lock.locked_until - now).total_seconds()) + 1,
        )
    fresh = lock.locked_until is not None or now - lock.last_attempt_at > LOCK
    failures = 1 if fresh else lock.failures + 1
    locked_until = now + LOCK if failures >= NAME_LIMIT else None
    await execute(
        tx,
        "UPDATE login_lock SET failures = %s, last_attempt_at = %s, locked_until = %s"
        " WHERE username = %s",
        (failures, now, locked_until, name),
    )
    return locked_until


async def forgive(tx: Tx, attempt: Attempt) -> None:
    """The attempt succeeded: it counts neither against the address nor the name."""
    await execute(tx, "UPDATE login_attempt SET succeeded = true WHERE id = %s", (attempt.id,))
    await unlock(tx, attempt.name)


async def unlock(tx: Tx, username: str) -> bool:
    """Forget the failures of a name; True when there were any."""
    return (
        await execute(tx, "DELETE FROM login_lock WHERE username = %s", (name_key(username),))
    ) > 0
