"""Structured logs: JSON in production, readable on a terminal. Personal data never goes in here."""

import logging
import re
import sys

import psycopg
import structlog

# What PostgreSQL adds to an error below its first line, up to the next exception of the chain:
# DETAIL and CONTEXT quote whole rows, which are people.
_QUOTED = re.compile(
    r"\n(?:DETAIL|CONTEXT):.*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL
)


def describe(error: BaseException) -> str:
    """Return type and message of an error, for a log or a column: without what rows hold."""
    text = str(error)
    if isinstance(error, psycopg.Error):
        text = error.diag.message_primary or text.partition("\n")[0]
    return f"{type(error).__name__}: {text}".replace("\0", "")[:2000]


def without_rows(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Processor: cut what a database error quotes of its rows out of a trace."""
    trace = event.get("exception")
    if isinstance(trace, str):
        event["exception"] = _QUOTED.sub("", trace)
    return event


def configure_logs(*, json: bool, level: str = "INFO") -> None:
    """Set up structlog and the standard library's logging on standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # As text before it is rendered: rich shows local variables, which hold personal data and take
    # seconds to print.
    renderer: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        without_rows,
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("uvicorn.access", "apscheduler", "transitions", "httpx", "psycopg.pool"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # amqtt reports every client that breaks off as an error of its own.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
