"""Ages on the local calendar, and the bands in which lists are filtered."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Asia/Shanghai")
OLDEST_YEARS = 130


@dataclass(frozen=True, slots=True)
class AgeBand:
    """Completed years from `first` to `last`, both included; no `last` is open-ended."""

    code: str
    first: int
    last: int | None


AGE_BANDS = (
    AgeBand("0-59", 0, 59),
    AgeBand("60-69", 60, 69),
    AgeBand("70-79", 70, 79),
    AgeBand("80-89", 80, 89),
    AgeBand("90-99", 90, 99),
    AgeBand("100-", 100, None),
)


def local_date(now: datetime) -> date:
    """Return the day that it is in Asia/Shanghai."""
    return now.astimezone(LOCAL).date()


def age_on(born: date | None, now: datetime) -> int | None:
    """Return completed years; somebody born on 29 February has a birthday on 1 March."""
    if born is None:
        return None
    today = local_date(now)
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def years_before(day: date, years: int) -> date:
    """Return the same day `years` earlier; 29 February becomes 1 March where there is none."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return date(day.year - years, 3, 1)


def births_of(band: AgeBand, now: datetime) -> tuple[date | None, date]:
    """Return (born after, born on or before): whoever is in the band today lies between.

    The first is None for a band without an upper end.
    """
    today = local_date(now)
    after = None if band.last is None else _last_birth(today, band.last + 1)
    return after, _last_birth(today, band.first)


def _last_birth(today: date, years: int) -> date:
    # The latest birth date at which a person has completed `years` today. On 28 February somebody
    # born on the 29th has not had the birthday yet, hence the plain day and not the day after.
    if (today.month, today.day) == (2, 29):
        try:
            return today.replace(year=today.year - years)
        except ValueError:
            return date(today.year - years, 2, 28)
    return today.replace(year=today.year - years)


def band_of(code: str) -> AgeBand | None:
    """Return the band of a code such as `80-89`, None for anything else."""
    return next((band for band in AGE_BANDS if band.code == code), None)
