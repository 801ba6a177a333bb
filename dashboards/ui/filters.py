"""How times, ages, numbers and codes are written on a page. Every function is pure.

Times are shown in Asia/Shanghai; every one carries its full form as a title.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from markupsafe import Markup

from dashboards.ui import tables, words
from dashboards.ui.i18n import N_, Translator
from devices.alarms import Severity

LOCAL = ZoneInfo("Asia/Shanghai")
NOTHING = "—"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FULL = {"zh-CN": "y年M月d日 EEEE HH:mm:ss", "en": "EEEE, d MMMM y, HH:mm:ss"}
_THIS_YEAR = {"zh-CN": "M月d日 HH:mm", "en": "d MMM HH:mm"}
_OTHER_YEAR = {"zh-CN": "y年M月d日 HH:mm", "en": "d MMM y HH:mm"}
_DATE = {"zh-CN": "y年M月d日", "en": "d MMM y"}
_BABEL = {"zh-CN": "zh_Hans_CN", "en": "en"}


@dataclass(frozen=True, slots=True)
class SeverityMark:
    """What a severity badge shows: a word, a shape (name of our sprite) and a class."""

    code: str
    word: str
    shape: str
    css: str


_SHAPES: Mapping[str, str] = {
    "critical": "shape-triangle",
    "major": "shape-diamond",
    "minor": "shape-circle",
    "technical": "shape-square",
}


def local(moment: datetime) -> datetime:
    """Return the moment in Asia/Shanghai. Raises ValueError for a naive time."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be shown")
    return moment.astimezone(LOCAL)


def _format(moment: datetime, patterns: Mapping[str, str], locale: str) -> str:
    return format_datetime(moment, patterns[locale], tzinfo=LOCAL, locale=_BABEL[locale])


def full_time(moment: datetime, locale: str) -> str:
    """Write date, weekday and time to the second."""
    return _format(local(moment), _FULL, locale)


def when_text(moment: datetime, now: datetime, tr: Translator) -> str:
    """Write 今天 14:03, 昨天 14:03, 11月20日 14:03 or 2024年11月20日 14:03."""
    there, here = local(moment), local(now)
    days = (here.date() - there.date()).days
    clock = f"{there:%H:%M}"
    if days == 0:
        return tr.gettext(N_("今天 %(time)s")) % {"time": clock}
    if days == 1:
        return tr.gettext(N_("昨天 %(time)s")) % {"time": clock}
    if days == -1:
        return tr.gettext(N_("明天 %(time)s")) % {"time": clock}
    return _format(there, _THIS_YEAR if there.year == here.year else _OTHER_YEAR, tr.locale)


def ago_text(moment: datetime, now: datetime, tr: Translator) -> str:
    """Write 刚刚, 3 分钟前, 2 小时前; from a day on, the day itself."""
    seconds = (now - moment).total_seconds()
    if seconds < -_MINUTE or seconds >= _DAY:
        return when_text(moment, now, tr)
    if seconds < _MINUTE:
        return tr.gettext(N_("刚刚"))
    if seconds < _HOUR:
        return tr.gettext(N_("%(n)d 分钟前")) % {"n": seconds // _MINUTE}
    return tr.gettext(N_("%(n)d 小时前")) % {"n": seconds // _HOUR}


def duration_text(value: float | timedelta, tr: Translator) -> str:
    """Write seconds as 45 秒, 1 分 20 秒, 2 小时 5 分 or 3 天 4 小时 (two units at most)."""
    total = int(value.total_seconds() if isinstance(value, timedelta) else value)
    units = ((_DAY, N_("%(n)d 天")), (_HOUR, N_("%(n)d 小时")), (_MINUTE, N_("%(n)d 分")))
    parts: list[str] = []
    rest = max(0, total)
    for size, message in (*units, (1, N_("%(n)d 秒"))):
        count, rest = divmod(rest, size)
        if count or (size == 1 and not parts):
            parts.append(tr.gettext(message) % {"n": count})
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def clock_text(seconds: float) -> str:
    """Write a running clock: 00:42, 12:05, 1:02:03."""
    total = max(0, int(seconds))
    hours, rest = divmod(total, _HOUR)
    minutes, second = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes:02}:{second:02}"


def age_years(born: date, now: datetime) -> int:
    """Return completed years by the local calendar."""
    today = local(now).date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def age_text(born: date | None, now: datetime, tr: Translator) -> str:
    """Write 82 岁."""
    if born is None:
        return tr.gettext(N_("年龄不详"))
    return tr.gettext(N_("%(n)d 岁")) % {"n": age_years(born, now)}


def number_text(value: float | None, digits: int | None = None) -> str:
    """Write a number with thousands separated; None is a dash."""
    if value is None:
        return NOTHING
    if digits is None:
        digits = 0 if float(value).is_integer() else 1
    return f"{value:,.{digits}f}"


def phone_text(number: str) -> str:
    """Write a number as people read it out: 139 0471 0501, 0471 628 1234; others stay."""
    if not number.isdigit():
        return number
    if len(number) == 11 and number.startswith("1"):
        return f"{number[:3]} {number[3:7]} {number[7:]}"
    area = 3 if number.startswith(("010", "02")) else 4
    if number.startswith("0") and len(number) - area in (7, 8):
        return f"{number[:area]} {number[area:-4]} {number[-4:]}"
    return number


def distance_text(metres: float | None, tr: Translator) -> str:
    """Write 420 米 (to 10 m) or 1.2 公里."""
    if metres is None:
        return NOTHING
    if metres < 995:
        rounded = round(metres, -1) if metres >= 100 else round(metres)
        return tr.gettext(N_("%(n)s 米")) % {"n": f"{rounded:.0f}"}
    return tr.gettext(N_("%(n)s 公里")) % {"n": f"{metres / 1000:.1f}"}


def severity_mark(severity: str, tr: Translator) -> SeverityMark:
    """Return the badge of a severity. Raises ValueError for a word that is none."""
    code = Severity(severity).value
    word = words.word(code, "severity", tr)
    return SeverityMark(code, word, _SHAPES[code], f"sev-{code}")


def time_element(moment: datetime, text: str, locale: str, *, relative: bool = False) -> Markup:
    """Wrap a written time in <time> with machine form and full title."""
    stamp = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(
        stamp, full_time(moment, locale), Markup(" data-ago") if relative else "", text
    )


@dataclass(frozen=True, slots=True)
class _Written:
    """The filters that need the language and the moment of the rendering."""

    tr: Translator
    now: Callable[[], datetime]

    def when(self, moment: datetime | None) -> str:
        if moment is None:
            return NOTHING
        text = when_text(moment, self.now(), self.tr)
        return time_element(moment, text, self.tr.locale)

    def ago(self, moment: datetime | None) -> str:
        if moment is None:
            return NOTHING
        text = ago_text(moment, self.now(), self.tr)
        return time_element(moment, text, self.tr.locale, relative=True)

    def seconds_ago(self, seconds: float) -> str:
        return self.ago(self.now() - timedelta(seconds=seconds))

    def day(self, value: date | None) -> str:
        if value is None:
            return NOTHING
        whole = value if isinstance(value, datetime) else datetime.combine(value, time(), LOCAL)
        return _format(local(whole), _DATE, self.tr.locale)

    def age(self, born: date | None) -> str:
        return age_text(born, self.now(), self.tr)

    def seconds_since(self, moment: datetime) -> float:
        return max(0.0, (self.now() - moment).total_seconds())


def quantity(value: float | None, unit: str, digits: int | None = None) -> str:
    """Write a number with its unit; they do not part at the end of a line."""
    if value is None:
        return NOTHING
    return Markup('<span class="quantity">{}<span class="unit">{}</span></span>').format(
        number_text(value, digits), f"\N{NARROW NO-BREAK SPACE}{unit}"
    )


def iso(moment: datetime) -> str:
    """Write a time for scripts: UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def make_filters(tr: Translator, now: Callable[[], datetime]) -> dict[str, Callable[..., object]]:
    """Return the template filters of one locale; `now` gives the moment of the rendering."""
    written = _Written(tr, now)
    return {
        "when": written.when,
        "ago": written.ago,
        "seconds_ago": written.seconds_ago,
        "day": written.day,
        "age": written.age,
        "seconds_since": written.seconds_since,
        "when_text": lambda moment: when_text(moment, now(), tr),
        "iso": iso,
        "duration": lambda value: duration_text(value, tr),
        "clock": clock_text,
        "number": number_text,
        "quantity": quantity,
        "phone": phone_text,
        "distance": lambda metres: distance_text(metres, tr),
        "severity": lambda code: severity_mark(code, tr),
        "labelled": tables.labelled,
        "word": lambda code, group: words.word(code, group, tr),
    }
