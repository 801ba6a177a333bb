"""The sentences of the incidents' pages, in Chinese as the source."""

from collections.abc import Mapping
from datetime import datetime

from dashboards.console.responders.words import SKILLS
from dashboards.ui.filters import duration_text, when_text
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.words import word
from hotline.responders.model import Skill, Suggestion
from kernel.errors import Conflict, DomainError, Forbidden, Invalid

# How much of the division a responder's station shares with the incident, by levels in common.
SHARED: Mapping[int, str] = {
    5: N_("同一社区"),
    4: N_("同一街道"),
    3: N_("同一区县"),
    2: N_("同一城市"),
}

# What our own devices say of an alarm; the words of others are shown as they came.
DETAILS: Mapping[str, str] = {
    "button": N_("按键"),
    "impact, no movement afterwards": N_("撞击后没有动静"),
    "left the area around home": N_("离开住处一带"),
}

# What somebody did last, so that the loser of a race reads who it was and when.
_DID: Mapping[str, str] = {
    "open": N_("%(who)s 已在 %(when)s 把这起警情放回队列。"),
    "acknowledged": N_("%(who)s 已在 %(when)s 接警。"),
    "dispatched": N_("%(who)s 已在 %(when)s 派人。"),
    "on_scene": N_("%(who)s：%(when)s 已有人到场。"),
    "resolved": N_("%(who)s 已在 %(when)s 结案。"),
}
FIELDS: Mapping[str, str] = {
    "reason": N_("请写明原因，最多 2000 字。"),
    "text": N_("请写几个字，最多 2000 字。"),
    "resolution": N_("请选择一种结果。"),
    "to": N_("这位同事不能接手：不在这个区域，或没有接警权限。"),
    "responder_id": N_("请选择一位处置人员。"),
}

# How operators close most incidents: the words and what they mean. One digit each in the dialog.
PRESETS: tuple[tuple[str, str], ...] = (
    (N_("已送医"), "founded"),
    (N_("现场处置完毕，老人平安"), "founded"),
    (N_("家属已到，交由家属照看"), "founded"),
    (N_("误按，已与老人本人确认平安"), "unfounded"),
    (N_("设备误触发，老人平安"), "unfounded"),
    (N_("老人自行取消求助"), "cancelled"),
    (N_("设备测试"), "test"),
)
ASKED = N_("询问：")
ANSWER = N_(" 答：")


def refusal(error: DomainError, missing: str, tr: Translator, now: datetime) -> str:
    """Return why nothing was done, in the reader's language; "" leaves it to the status."""
    facts = error.facts
    if isinstance(error, Conflict):
        return _conflict(facts, tr, now)
    if isinstance(error, Forbidden) and facts.get("by"):
        text = N_("这起警情由 %(who)s 处置中，只有本人或值班长可以操作。")
        return tr.gettext(text) % {"who": facts["by"]}
    if isinstance(error, Invalid):
        return " ".join(problems_of(error, tr).values())
    return tr.gettext(missing) if missing else ""


def _conflict(facts: Mapping[str, object], tr: Translator, now: datetime) -> str:
    if "number" in facts:
        text = N_("同一位老人的第 %(n)s 号警情正在处置，请在那里继续。")
        return tr.gettext(text) % {"n": facts["number"]}
    if "at" in facts and facts.get("by"):
        at = datetime.fromisoformat(str(facts["at"]))
        said = _DID.get(str(facts.get("status")), N_("%(who)s 已在 %(when)s 先处理。"))
        return tr.gettext(said) % {"who": facts["by"], "when": when_text(at, now, tr)}
    if facts.get("by"):
        return tr.gettext(N_("%(who)s 已经在路上。")) % {"who": facts["by"]}
    return tr.gettext(N_("正在按顺序呼叫联系人，请等这一轮结束。"))


def problems_of(error: DomainError, tr: Translator) -> dict[str, str]:
    """Return {field: sentence} for a form that was refused."""
    if not isinstance(error, Invalid):
        return {}
    return {name: tr.gettext(FIELDS.get(name, text)) for name, text in error.fields.items()}


def skill_words(skills: list[str], tr: Translator) -> list[str]:
    """Return the names of skills."""
    return [tr.gettext(SKILLS[Skill(one)]) if one in SKILLS else one for one in skills]


def nearness(one: Suggestion, tr: Translator) -> str:
    """Return where a suggested responder is: by the fix, else by the station's division."""
    if one.distance_m is None:
        shared = SHARED.get(one.shared)
        place = tr.gettext(shared) if shared else tr.gettext(N_("其他区域"))
        return tr.gettext(N_("没有位置，按驻点：%(place)s")) % {"place": place}
    if one.eta_s is None:
        return ""
    # A guess to the minute: more would pretend to know the traffic.
    minutes = max(1, round(one.eta_s / 60))
    return tr.gettext(N_("约 %(time)s可到")) % {"time": duration_text(60 * minutes, tr)}


_HOUR_HIGHER = N_(
    "静息%(metric)s %(value)s %(unit)s，比本人近 %(days)s 天 %(hour)s 时的平常值 %(usual)s"
    " 高 %(difference)s"
)
_HOUR_LOWER = N_(
    "静息%(metric)s %(value)s %(unit)s，比本人近 %(days)s 天 %(hour)s 时的平常值 %(usual)s"
    " 低 %(difference)s"
)
_LEVEL_HIGHER = N_(
    "静息%(metric)s %(value)s %(unit)s，比本人近 %(days)s 天的平常值 %(usual)s 高 %(difference)s"
)
_LEVEL_LOWER = N_(
    "静息%(metric)s %(value)s %(unit)s，比本人近 %(days)s 天的平常值 %(usual)s 低 %(difference)s"
)
_NIGHTS_HIGHER = N_(
    "夜间%(metric)s连续 %(lasting)s 晚偏高：%(value)s %(unit)s，比本人此前 %(days)s 天高"
    " %(difference)s（平常 %(usual)s）"
)
_NIGHTS_LOWER = N_(
    "夜间%(metric)s连续 %(lasting)s 晚偏低：%(value)s %(unit)s，比本人此前 %(days)s 天低"
    " %(difference)s（平常 %(usual)s）"
)
_DAYS_HIGHER = N_(
    "%(metric)s连续 %(lasting)s 天偏高：%(value)s %(unit)s，比本人此前 %(days)s 天高"
    " %(difference)s（平常 %(usual)s）"
)
_DAYS_LOWER = N_(
    "%(metric)s连续 %(lasting)s 天偏低：%(value)s %(unit)s，比本人此前 %(days)s 天低"
    " %(difference)s（平常 %(usual)s）"
)


def alarm_detail(detail: Mapping[str, object], tr: Translator) -> str:
    """Return what the device or the rule said of an alarm: a reading and its limit, a duration."""
    if "baseline" in detail:
        return _unlike_before(detail, tr)
    if "metric" in detail and "value" in detail:
        metric = str(detail["metric"])
        text = N_("%(metric)s %(value)s %(unit)s（界限 %(limit)s）")
        return tr.gettext(text) % {
            "metric": word(metric, "metric", tr),
            "value": _number(detail["value"]),
            "unit": word(metric, "metric_unit", tr),
            "limit": _number(detail.get("limit")),
        }
    if isinstance(detail.get("minutes"), int | float):
        text = N_("已持续 %(time)s")
        return tr.gettext(text) % {"time": duration_text(60 * float(str(detail["minutes"])), tr)}
    if "percent" in detail:
        return tr.gettext(N_("电量 %(n)s%%")) % {"n": _number(detail["percent"])}
    if "distance_m" in detail:
        return tr.gettext(N_("离安全区域中心 %(n)s 米")) % {"n": _number(detail["distance_m"])}
    said = str(detail.get("detail", ""))
    return tr.gettext(DETAILS[said]) if said in DETAILS else said


def _unlike_before(detail: Mapping[str, object], tr: Translator) -> str:
    """A value beside what is ordinary for this elder (`ingest/baselines/rules.py`)."""
    difference = float(str(detail["value"])) - float(str(detail["baseline"]))
    higher = difference > 0
    if "drift_days" in detail and detail.get("night"):
        text = _NIGHTS_HIGHER if higher else _NIGHTS_LOWER
    elif "drift_days" in detail:
        text = _DAYS_HIGHER if higher else _DAYS_LOWER
    elif "hour" in detail:
        text = _HOUR_HIGHER if higher else _HOUR_LOWER
    else:
        text = _LEVEL_HIGHER if higher else _LEVEL_LOWER
    metric = str(detail["metric"])
    return tr.gettext(text) % {
        "metric": word(metric, "metric", tr),
        "value": _number(detail["value"]),
        "unit": word(metric, "metric_unit", tr),
        "difference": _number(round(abs(difference), 1)),
        "usual": _number(detail["baseline"]),
        "days": _number(detail["days"]),
        "hour": _number(detail.get("hour")),
        "lasting": _number(detail.get("drift_days")),
    }


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "—"
