"""The words of the fleet's pages, in Chinese as the source."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator

# Counters and filters of the same name (devices/fleet/model.py FleetState).
FLEET_STATE = {
    "online": N_("在线"),
    "silent": N_("静默"),
    "never": N_("从未上线"),
    "low_battery": N_("电量低"),
    "test": N_("测试中"),
    "away": N_("外出中"),
    "maintenance": N_("维护中"),
    "stock": N_("在库"),
    "faulty": N_("故障"),
}
FLEET_TONE = {
    "online": "good",
    "silent": "bad",
    "never": "quiet",
    "low_battery": "warn",
    "test": "warn",
    "away": "warn",
    "maintenance": "warn",
    "stock": "",
    "faulty": "bad",
}
ORDER = {"id": N_("按编号"), "seen": N_("静默最久的在前"), "battery": N_("电量最低的在前")}
# Silent for at least so many hours.
UNSEEN_HOURS: Mapping[int, str] = {
    1: N_("1 小时以上"),
    24: N_("1 天以上"),
    168: N_("7 天以上"),
    720: N_("30 天以上"),
}
BATTERY_AT_MOST: Mapping[int, str] = {10: "≤ 10 %", 20: "≤ 20 %", 50: "≤ 50 %"}
TECHNICAL_STATE = {
    "active": N_("未确认"),
    "acknowledged": N_("已确认"),
    "shelved": N_("已搁置"),
    "cleared": N_("已恢复"),
}
TECHNICAL_TONE = {"active": "bad", "acknowledged": "accent", "shelved": "quiet", "cleared": "good"}
TECHNICAL_VIEW = {
    "open": N_("未恢复"),
    "active": N_("未确认"),
    "acknowledged": N_("已确认"),
    "shelved": N_("已搁置"),
    "cleared": N_("已恢复"),
}
# How long an alarm may be put aside, in hours.
SHELF_HOURS: Mapping[int, str] = {
    4: N_("4 小时"),
    24: N_("1 天"),
    72: N_("3 天"),
    168: N_("7 天"),
    720: N_("30 天"),
}
PROBLEM = {
    "until.range": N_("请选择搁置多久，最长 30 天"),
    "note.required": N_("请写明原因"),
    "note.too_long": N_("原因最长 200 个字"),
    "clear_note.required": N_("请写明怎么处理的"),
    "clear_note.too_long": N_("最长 200 个字"),
}


def errors_of(fields: Mapping[str, str], tr: Translator) -> dict[str, str]:
    """Return a sentence for each problem (field → code)."""
    return {name: tr.gettext(PROBLEM.get(f"{name}.{code}", code)) for name, code in fields.items()}
