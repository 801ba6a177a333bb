"""The pool: how soon it notices that the server is back."""

from psycopg_pool.base import AttemptWithBackoff

from kernel.db import Database


async def test_the_pauses_between_attempts_to_connect_stay_short(db_url: str) -> None:
    db = await Database.open(db_url)
    attempt = AttemptWithBackoff(timeout=db._pool.reconnect_timeout)
    now, pauses = 1000.0, []
    while not attempt.time_to_give_up(now):
        attempt.update_delay(now)
        pauses.append(attempt.delay)
        now += attempt.delay
    await db.close()
    # Giving up is harmless: the next request begins anew.
    assert max(pauses) <= 5.0
