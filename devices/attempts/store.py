"""SQL of attempts."""

from datetime import datetime

from kernel.db import Tx, execute, fetch_value


async def one_at_a_time(tx: Tx, kind: str, party: str) -> None:
    """Wait until nobody else counts attempts of this party."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 12))", (f"{kind}:{party}",))


async def failures(tx: Tx, kind: str, party: str, since: datetime) -> int:
    """Return how many attempts have failed, or are still open."""
    found: int = await fetch_value(
        tx,
        "SELECT count(*) FROM provisioning_attempt"
        " WHERE kind = %s AND party = %s AND at > %s AND NOT succeeded",
        (kind, party, since),
    )
    return found


async def insert(tx: Tx, kind: str, party: str, now: datetime) -> int:
    """Count one; return its number."""
    found: int = await fetch_value(
        tx,
        "INSERT INTO provisioning_attempt (at, kind, party) VALUES (%s, %s, %s) RETURNING id",
        (now, kind, party),
    )
    return found


async def succeed(tx: Tx, attempt: int) -> None:
    """It was no guess."""
    await execute(tx, "UPDATE provisioning_attempt SET succeeded = true WHERE id = %s", (attempt,))


async def forget(tx: Tx, before: datetime) -> int:
    """Delete what is older."""
    return await execute(tx, "DELETE FROM provisioning_attempt WHERE at < %s", (before,))
