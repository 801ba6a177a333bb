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
# Where the list of devices shows what a counter counts.
IN_LIST = {
    "online": "state=bound&connection=online",
    "silent": "state=bound&connection=offline&sort=seen",
    "never": "state=bound&connection=never",
    "low_battery": "state=bound&battery=low&sort=battery",
    "test": "held=test",
    "away": "held=away",
    "maintenance": "held=maintenance",
    "stock": "state=stock",
    "faulty": "state=faulty",
}
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
ROLLOUT_STATE = {
    "running": N_("进行中"),
    "paused": N_("已暂停"),
    "completed": N_("已完成"),
    "aborted": N_("已中止"),
}
ROLLOUT_TONE = {"running": "accent", "paused": "warn", "completed": "good", "aborted": "bad"}
UPDATE_STATE = {
    "offered": N_("已通知"),
    "downloading": N_("下载中"),
    "downloaded": N_("已下载，待重启"),
    "installed": N_("升级成功"),
    "failed": N_("升级失败"),
    "withdrawn": N_("已撤回"),
}
UPDATE_TONE = {
    "offered": "",
    "downloading": "accent",
    "downloaded": "accent",
    "installed": "good",
    "failed": "bad",
    "withdrawn": "quiet",
}
FAILURE = {
    "checksum": N_("校验和不符"),
    "size": N_("大小不符"),
    "link": N_("下载链接打不开"),
    "space": N_("存储空间不足"),
    "battery": N_("电量太低"),
    "rolled_back": N_("新版本启动失败，已退回旧版本"),
    "no_answer": N_("两小时没有回音"),
    "refused": N_("设备拒绝"),
    "too_many_failures": N_("失败太多，自动中止"),
}
PROBLEM = {
    "until.range": N_("请选择搁置多久，最长 30 天"),
    "note.required": N_("请写明原因"),
    "note.too_long": N_("原因最长 200 个字"),
    "profile.unknown": N_("请选择型号"),
    "version.form": N_("版本由字母、数字、点、加号、横线组成，例如 1.5.0"),
    "version.taken": N_("这个型号已经有这个版本"),
    "file.required": N_("请选择固件文件"),
    "file.too_large": N_("文件太大，最大 64 MB"),
    "notes.too_long": N_("说明最长 1000 个字"),
    "steps.form": N_("比例要递增，最后是 100，例如 1, 10, 100"),
    "canaries.too_many": N_("先行设备最多 50 台"),
    "canaries.unknown": N_("有的编号在所选区域里没有这个型号的设备，请核对先行设备的编号"),
    "soak_minutes.range": N_("请填写 0 到 10080 分钟"),
    "failure_percent.range": N_("请填写 1 到 100"),
    "division.outside": N_("请选择您负责范围内的区域"),
    "division.busy": N_("这个范围里，这个型号还有一次没有结束的升级：请等它完成，或先中止它"),
    "reason.required": N_("请写明原因"),
    "reason.too_long": N_("原因最长 200 个字"),
    "clear_note.required": N_("请写明怎么处理的"),
    "clear_note.too_long": N_("最长 200 个字"),
}


def failure(detail: str, tr: Translator) -> str:
    """Return why an update or a roll-out failed; a device's own words as they are."""
    return tr.gettext(FAILURE[detail]) if detail in FAILURE else detail


def errors_of(fields: Mapping[str, str], tr: Translator) -> dict[str, str]:
    """Return a sentence for each problem (field → code)."""
    return {name: tr.gettext(PROBLEM.get(f"{name}.{code}", code)) for name, code in fields.items()}


def technical_views(tr: Translator) -> list[tuple[str, str]]:
    """Return (code, label) of the states of alarms; without a choice these are the open ones."""
    return [
        ("" if code == "open" else code, tr.gettext(text)) for code, text in TECHNICAL_VIEW.items()
    ]
