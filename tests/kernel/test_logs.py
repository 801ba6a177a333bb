"""The logs: an error is there with its place, and nothing of the people in the rows around it."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import psycopg
import pytest
import structlog

from kernel.db import Database
from kernel.logs import configure_logs, describe

# The check fails, and PostgreSQL quotes the whole row in its DETAIL.
REFUSED = """INSERT INTO elder (id, name, sex, division_code, created_at, updated_at)
    VALUES (gen_random_uuid(), '李秀英', 'other', '150102001001', now(), now())"""


@pytest.fixture
def written(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[io.StringIO]:
    """What the process writes to standard error, logs set up as `request.param` says."""
    stream = io.StringIO()
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs(json=request.param)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


async def refusal(db: Database) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as refused:
        async with db.transaction() as tx:
            await tx.execute(REFUSED)
    assert "李秀英" in str(refused.value)
    return refused.value


@pytest.mark.parametrize("written", [True, False], indirect=True, ids=["json", "console"])
@pytest.mark.parametrize("library", [True, False], ids=["library", "ours"])
async def test_a_trace_names_the_error_and_nobody(
    db: Database, written: io.StringIO, library: bool
) -> None:
    error = await refusal(db)
    try:
        try:
            raise error
        except psycopg.Error as cause:
            raise RuntimeError("could not store") from cause
    except RuntimeError:
        if library:
            logging.getLogger("a.library").exception("failed")
        else:
            structlog.get_logger("ours").exception("failed")
    text = written.getvalue()
    assert "李秀英" not in text
    assert "elder_sex_check" in text
    assert "RuntimeError: could not store" in text
    assert "refusal" in text


@pytest.mark.parametrize("written", [True], indirect=True, ids=["json"])
async def test_a_line_of_json_is_one_line(written: io.StringIO) -> None:
    structlog.get_logger("ours").warning("lost", lane="bulk")
    (line,) = written.getvalue().splitlines()
    assert json.loads(line).items() >= {"event": "lost", "lane": "bulk", "level": "warning"}.items()


async def test_a_described_error_is_its_first_line(db: Database) -> None:
    text = describe(await refusal(db))
    assert text.startswith("CheckViolation: new row for relation")
    assert "李秀英" not in text
    assert describe(ValueError("a\0b")) == "ValueError: ab"
