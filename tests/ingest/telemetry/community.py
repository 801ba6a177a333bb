"""What only TimescaleDB's Community edition can do, in words that the Apache edition knows."""

import re
from importlib import resources

_AGGREGATE = re.compile(r"CREATE MATERIALIZED VIEW (\w+)\s+WITH \(\s*timescaledb\.[^)]*\)")
_STATEMENT_END = re.compile(r";\s*(?:\n|$)")
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


def script(name: str) -> str:
    """A file of ingest/telemetry/sql."""
    return (resources.files("ingest.telemetry") / "sql" / name).read_text("utf-8")


def statements(text: str) -> list[str]:
    """The statements of a script without bodies of functions, in which a semicolon ends no line."""
    return [one for one in _STATEMENT_END.split(_COMMENT.sub("", text)) if one.strip()]


def apache_words(text: str) -> str:
    """The same with plain views for continuous aggregates.

    With materialized_only off they show what their query would show.
    """
    return _AGGREGATE.sub(r"CREATE VIEW \1", text).replace("WITH NO DATA", "")
