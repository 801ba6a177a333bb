"""Dates of a FHIR search (R4, 3.1.1.4.5 and 3.1.1.5.3 to 5) as stretches of time. Pure.

An observation has a moment, a date of a search means a stretch: `2026-03` a month, `2026-03-05` a
day, `…T14:02` a minute. What a prefix makes of it is one stretch, or two (`ne`). Values with commas
between them are alternatives, several parameters hold together.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from ingest.detection.defaults import LOCAL_ZONE
from ingest.fhir.model import FhirError, Span

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
MOST_DATES = 20
_ABOUT = 0.1
"""`ap`: about is a tenth of what lies between the date and now, as the standard recommends."""
_DATE = re.compile(
    r"(?P<op>eq|ne|gt|ge|lt|le|sa|eb|ap)?(?P<y>\d{4})(-(?P<m>\d\d)(-(?P<d>\d\d)"
    r"(T(?P<t>\d\d:\d\d(:\d\d(\.\d{1,6})?)?)(?P<z>Z|[+-]\d\d:\d\d)?)?)?)?"
)


ALWAYS = Span(EARLIEST, LATEST)


def spans(values: Sequence[str], now: datetime) -> tuple[Span, ...]:
    """Return where a moment may lie to match every value, in order and apart. Raises FhirError."""
    if sum(text.count(",") + 1 for text in values) > MOST_DATES:
        raise FhirError(f"More than {MOST_DATES} dates in one search.", issue="too-costly")
    found: tuple[Span, ...] = (ALWAYS,)
    for text in values:
        wanted = _joined(span for part in text.split(",") for span in _wanted(part, now))
        found = tuple(
            Span(low, high)
            for one in found
            for other in wanted
            if (low := max(one.low, other.low)) < (high := min(one.high, other.high))
        )
    return found


def _joined(parts: Iterable[Span]) -> list[Span]:
    """The same stretches without overlaps: nothing is to be found twice."""
    joined: list[Span] = []
    for span in sorted(parts):
        if joined and span.low <= joined[-1].high:
            joined[-1] = Span(joined[-1].low, max(joined[-1].high, span.high))
        else:
            joined.append(span)
    return joined


def _wanted(text: str, now: datetime) -> tuple[Span, ...]:
    """Return where a moment must lie to match one date."""
    # A plus sign that was not escaped in the address arrives as a space.
    match = _DATE.fullmatch(text.replace(" ", "+"))
    if match is None:
        raise FhirError("A date is written as YYYY, YYYY-MM, YYYY-MM-DD or with a time and zone.")
    meant = _range(match)
    low, high = meant.low, meant.high
    before, after = Span(EARLIEST, low), Span(high, LATEST)
    prefix = match["op"] or "eq"
    if prefix == "ap":
        return (_around(meant, abs(now - low) * _ABOUT),)
    return {
        "eq": (meant,),
        "ne": (before, after),
        "ge": (Span(low, LATEST),),
        "gt": (after,),
        "sa": (after,),
        "le": (Span(EARLIEST, high),),
        "lt": (before,),
        "eb": (before,),
    }[prefix]


def _around(meant: Span, about: timedelta) -> Span:
    """The stretch with what lies about it, as far as there is time."""
    low = meant.low - about if meant.low - EARLIEST > about else EARLIEST
    high = meant.high + about if LATEST - meant.high > about else LATEST
    return Span(low, high)


def _range(match: re.Match[str]) -> Span:
    year, month, day = (int(match[name] or 1) for name in ("y", "m", "d"))
    try:
        low = datetime(year, month, day, tzinfo=LOCAL_ZONE)
        if match["t"]:
            zone = (match["z"] or "+08:00").replace("Z", "+00:00")
            low = datetime.fromisoformat(
                f"{match['y']}-{match['m']}-{match['d']}T{match['t']}{zone}"
            )
            digits = len(match["t"].partition(".")[2])
            exact = timedelta(microseconds=10 ** (6 - digits))
            high = low + (timedelta(minutes=1) if match["t"].count(":") == 1 else exact)
        elif match["d"]:
            high = low + timedelta(days=1)
        elif match["m"]:
            high = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=LOCAL_ZONE)
        else:
            high = datetime(year + 1, 1, 1, tzinfo=LOCAL_ZONE)
        return Span(low.astimezone(UTC), high.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise FhirError("There is no such date.") from error
