"""What an audit entry says besides who, what and when: its detail as names and values, in words.

The log holds codes and ids, never what speaks of a person. A name or a code without a word here is
shown as it is, for an entry may be years older than this table.
"""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime

from dashboards.console.audit import words
from dashboards.console.deadletters import words as letter_words
from dashboards.console.devices import words as device_words
from dashboards.console.elders import words as elder_words
from dashboards.console.outbox.words import TOPIC
from dashboards.ui import words as shared
from dashboards.ui.filters import duration_text, when_text
from dashboards.ui.i18n import N_, Translator
from devices.codecs import CODECS
from kernel import divisions
from kernel.audit import AuditEntry

NAMES: Mapping[str, str] = {
    "action": N_("操作"),
    "address": N_("协议中的名称"),
    "after": N_("之后"),
    "age_band": N_("年龄"),
    "answer_s": N_("接听时限"),
    "archived": N_("已归档"),
    "attempts": N_("试过几次"),
    "batch": N_("批次"),
    "before": N_("之前"),
    "broken": N_("断开处"),
    "by": N_("按什么查"),
    "changed": N_("改了什么"),
    "checked": N_("核对条数"),
    "codec": N_("协议"),
    "command": N_("指令名称"),
    "command_id": N_("指令编号"),
    "count": N_("条数"),
    "dispatch": N_("派单"),
    "division": N_("区域"),
    "divisions": N_("区域"),
    "elder_id": N_("老人编号"),
    "fields": N_("项目"),
    "found": N_("找到"),
    "from": N_("起始日期"),
    "gateway": N_("网关"),
    "hours": N_("小时"),
    "ip": N_("网络地址"),
    "item": N_("哪一个"),
    "key": N_("系统里的标识"),
    "kind": N_("报警"),
    "letters": N_("消息数"),
    "limits": N_("处置时限"),
    "living_situation": N_("居住情况"),
    "locked": N_("账号被锁定"),
    "most": N_("最多几台"),
    "name": N_("名称"),
    "no_device": N_("没有设备"),
    "number": N_("警情编号"),
    "occurrences": N_("次数"),
    "ok": N_("完整"),
    "open_incident": N_("有未结警情"),
    "part": N_("哪一部分"),
    "profile": N_("型号"),
    "purpose": N_("用途"),
    "reason": N_("原因"),
    "resolution": N_("结果"),
    "roles": N_("角色"),
    "room": N_("房间"),
    "rows": N_("行数"),
    "rows_wrong": N_("有问题的行"),
    "serial": N_("序列号"),
    "sessions": N_("登录数"),
    "severity": N_("级别"),
    "stale_claim_s": N_("接警后多久没有动静"),
    "status": N_("状态"),
    "steps": N_("步骤"),
    "subject": N_("对象"),
    "test": N_("测试"),
    "text": N_("关键词"),
    "text_version": N_("文本版本"),
    "to": N_("截止日期"),
    "topic": N_("事项"),
    "transport": N_("通道"),
    "until": N_("到何时"),
    "version": N_("版本"),
    "what": N_("哪一份"),
    "whole_phones": N_("含完整电话"),
    "why": N_("为什么"),
}
# The parts of a record and of an account that were changed or looked at.
FIELDS: Mapping[str, str] = {
    **elder_words.FIELDS,
    "access": N_("入户信息"),
    "away_until": N_("外出到何时"),
    "disabled_at": N_("停用"),
    "display_name": N_("姓名"),
    "door_open_critical_min": N_("门开着多久算紧急"),
    "door_open_major_min": N_("门开着多久算重要"),
    "fence_lat": N_("安全区域"),
    "fence_lon": N_("安全区域"),
    "fence_radius_m": N_("安全区域"),
    "inactivity_day_min": N_("白天多久无活动"),
    "inactivity_night_min": N_("夜间多久无活动"),
    "living_situation": N_("居住情况"),
    "medical": N_("病史与用药"),
    "phone": N_("电话"),
    "roles": N_("角色"),
    "skills": N_("技能"),
    "station": N_("站点"),
    "user_id": N_("关联的账号"),
}
_REASONS: Mapping[str, str] = {
    **shared.DEVICE_REASON, **device_words.REVOKE_REASON, **letter_words.REASON,
}  # fmt: skip
_STATUS: Mapping[str, str] = {
    **shared.INCIDENT_STATUS, **shared.DISPATCH_STATUS, "unresolved": N_("未结案"),
}  # fmt: skip
_WHY: Mapping[str, str] = {
    "incident": N_("处置警情"),
    "form": N_("修改档案"),
    "vitals": N_("体征"),
    "fleet": N_("设备清单"),
    "fhir.Observation": N_("体征（FHIR 接口）"),
    "fhir.Device": N_("设备（FHIR 接口）"),
}
# Which table has the words of a name's values.
_VALUES: Mapping[str, Mapping[str, str]] = {
    "action": words.ACTIONS,
    "age_band": elder_words.AGE_BANDS,
    "by": FIELDS,
    "changed": FIELDS,
    "command": device_words.COMMAND,
    "fields": FIELDS,
    "kind": shared.ALARM_KIND,
    "living_situation": shared.LIVING_SITUATION,
    "part": _WHY,
    "purpose": shared.CONSENT_PURPOSE,
    "reason": _REASONS,
    "resolution": shared.RESOLUTION,
    "roles": shared.ROLE,
    "severity": shared.SEVERITY,
    "status": _STATUS,
    "subject": words.SUBJECTS,
    "topic": TOPIC,
    "what": _WHY,
    "why": _WHY,
}
_DIVISIONS = frozenset({"division", "divisions"})
_SHOWN_OF_ID = 6
# What was typed into a search stands in entries of old: that there was one is shown, not what.
_UNSPOKEN = frozenset({"text"})


def codes_in(entry: AuditEntry) -> set[str]:
    """Return the divisions that a detail names, for their names to be looked up."""
    values = (entry.facts.get(name) for name in _DIVISIONS)
    flat = (one for value in values for one in (value if isinstance(value, list) else [value]))
    return {divisions.pad(one) for one in flat if isinstance(one, str) and _is_prefix(one)}


def _is_prefix(text: str) -> bool:
    return bool(text) and (divisions.is_code(text) or divisions.is_prefix(text))


def told(
    entry: AuditEntry, places: Mapping[str, str], now: datetime, tr: Translator
) -> list[tuple[str, str]]:
    """Return the detail as name and value in the reader's language; what is empty is left out."""
    known = _Speaker(places, now, tr)
    pairs = [(known.name(name), known.value(name, value)) for name, value in entry.facts.items()]
    return [(name, text) for name, text in pairs if text]


class _Speaker:
    """Puts names and values into words of one language."""

    def __init__(self, places: Mapping[str, str], now: datetime, tr: Translator) -> None:
        self._places, self._now, self._tr = places, now, tr

    def name(self, name: str) -> str:
        """Return the word of a name; limits of vital signs are named by their metric."""
        label = NAMES.get(name) or shared.METRIC.get(name)
        return self._tr.gettext(label) if label else name

    def value(self, name: str, value: object) -> str:
        """Return a value as short text, "" for nothing."""
        if name in _UNSPOKEN:
            value = bool(value)
        if isinstance(value, bool):
            return self._tr.gettext(N_("是") if value else N_("否"))
        if isinstance(value, list):
            return self._list(name, value)
        if isinstance(value, dict):
            pairs = ((_STATUS.get(key, key), one) for key, one in value.items())
            return self._joined(f"{self._tr.gettext(key)} {self.value('_s', one)}"
                                for key, one in pairs)  # fmt: skip
        if isinstance(value, int | float):
            return duration_text(value, self._tr) if name.endswith("_s") else str(value)
        return self._text(name, str(value)) if value is not None else ""

    def _list(self, name: str, found: list[object]) -> str:
        if name == "steps":
            return self._tr.ngettext(
                "%(num)s 步", "%(num)s 步", len(found)
            ) % {"num": len(found)}  # fmt: skip
        if name in shared.METRIC:
            # The four limits, from too low to too high.
            return " / ".join("—" if one is None else f"{one:g}" if isinstance(one, float)
                              else str(one) for one in found)  # fmt: skip
        if name == "divisions" or any(isinstance(one, list) for one in found):
            # What it was and what it is.
            said = [self.value(name, one) or "—" for one in found]
            return said[0] if len(set(said)) == 1 else " → ".join(said)
        # Latitude, longitude and radius are one fence.
        return self._joined(dict.fromkeys(self.value(name, one) for one in found))

    def _joined(self, parts: Iterable[str]) -> str:
        return self._tr.gettext(N_("、")).join(parts)

    def _text(self, name: str, text: str) -> str:
        if name == "profile":
            return device_words.model_title(text, self._tr.locale)
        if name == "codec":
            return CODECS[text].title if text in CODECS else text
        if name in _DIVISIONS:
            return self._place(text)
        if name == "until" and text:
            return self._moment(text)
        if label := _VALUES.get(name, {}).get(text):
            return self._tr.gettext(label)
        return text[-_SHOWN_OF_ID:] if _is_id(text) else text

    def _place(self, code: str) -> str:
        if not code:
            return self._tr.gettext(N_("全国"))
        padded = divisions.pad(code) if _is_prefix(code) else code
        return " ".join(self._places.get(padded, code).split(" ")[-2:])

    def _moment(self, text: str) -> str:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        return when_text(moment, self._now, self._tr) if moment.tzinfo else text


def _is_id(text: str) -> bool:
    try:
        return len(text) == len(str(uuid.UUID(text)))
    except ValueError:
        return False
