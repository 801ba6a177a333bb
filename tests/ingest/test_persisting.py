"""What is waited for and what is not: the database's absence, and data that it refuses."""

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout

from ingest.persisting import is_transient, until_stored


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (PoolTimeout("no connection"), True),
        (errors.AdminShutdown(), True),
        (errors.CannotConnectNow(), True),
        (errors.DiskFull(), True),
        (errors.DeadlockDetected(), True),
        (errors.SerializationFailure(), True),
        (errors.QueryCanceled(), True),
        (errors.ReadOnlySqlTransaction(), True),
        (errors.ProgramLimitExceeded(), False),
        (errors.NumericValueOutOfRange(), False),
        (errors.ForeignKeyViolation(), False),
        (errors.UndefinedColumn(), False),
        (ValueError(), False),
    ],
)
def test_only_what_may_pass_is_waited_for(error: Exception, waits: bool) -> None:
    assert is_transient(error) is waits


async def test_it_tries_until_the_database_is_back() -> None:
    tries = 0

    async def store() -> str:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise psycopg.OperationalError
        return "stored"

    assert await until_stored(store) == "stored"
    assert tries == 4


async def test_refused_data_is_raised_at_once() -> None:
    async def store() -> None:
        raise errors.ProgramLimitExceeded

    with pytest.raises(errors.ProgramLimitExceeded):
        await until_stored(store)
