"""Dates of a search: what each prefix finds, alternatives, and several that hold together."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fhir.dates import spans
from ingest.fhir.model import FhirError

MINUTES = {n: datetime(2026, 3, 5, 14, n, tzinfo=UTC) for n in (3, 2, 1)}


def found(dates: list[str], at: datetime, now: datetime) -> bool:
    return any(span.low <= at < span.high for span in spans(dates, now))


@pytest.mark.parametrize(
    ("dates", "wanted"),
    [
        ([], [3, 2, 1]),
        (["2026-03-05"], [3, 2, 1]),
        (["2026-03"], [3, 2, 1]),
        (["2025"], []),
        (["eq2026-03-05T14:02Z"], [2]),
        (["ne2026-03-05T14:02Z"], [3, 1]),
        (["ne2026-03-05"], []),
        (["ge2026-03-05T22:02:00"], [3, 2]),
        (["gt2026-03-05T22:02:00"], [3]),
        (["gt2026-03-05T14:02:00+00:00"], [3]),
        (["gt2026-03-05T14:02:00 00:00"], [3]),
        (["lt2026-03-05T14:02:00Z"], [1]),
        (["le2026-03-05T14:02:00Z"], [2, 1]),
        (["ge2026-03-05T14:02Z", "lt2026-03-05T14:03Z"], [2]),
        (["sa2026-03-04", "eb2026-03-06"], [3, 2, 1]),
        (["sa2026-03-05"], []),
        (["2026-03-05T14:01Z,2026-03-05T14:03Z"], [3, 1]),
        (["2026-03-05T14:01Z,2026-03-05T14:03Z", "ne2026-03-05T14:03Z"], [1]),
        (["ap2026-03-05T14:00Z"], [2, 1]),
        (["ap2026-03-04"], [3, 2, 1]),
    ],
)
def test_dates_are_read_as_the_standard_says(dates: list[str], wanted: list[int]) -> None:
    # Twenty minutes after the first date of `ap`: a tenth of that is two.
    now = datetime(2026, 3, 5, 14, 20, tzinfo=UTC)
    if dates == ["ap2026-03-04"]:
        now += timedelta(days=10)
    assert [n for n, at in MINUTES.items() if found(dates, at, now)] == wanted


@pytest.mark.parametrize("text", ["yesterday", "2026-13", "2026-02-30", "xx2026", "2026-3", ""])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(FhirError):
        spans([text], MINUTES[1])


PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb"])
DAYS = st.dates(date(2025, 12, 1), date(2026, 2, 1))
DATES = st.builds(lambda prefix, day: f"{prefix}{day}", PREFIXES, DAYS)


@given(st.lists(st.lists(DATES, min_size=1, max_size=3).map(",".join), max_size=4))
def test_stretches_lie_apart_and_in_order_so_that_nothing_is_found_twice(dates: list[str]) -> None:
    all_of_them = spans(dates, MINUTES[1])
    assert all(span.low < span.high for span in all_of_them)
    assert all(one.high <= other.low for one, other in pairwise(all_of_them))


@given(DATES, DAYS)
def test_not_equal_is_everything_else(text: str, day: date) -> None:
    plain = text.lstrip("abcdefghijklmnopqrstuvwxyz")
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    assert found([f"eq{plain}"], noon, noon) != found([f"ne{plain}"], noon, noon)
