"""The words for codes: one Chinese label for each value of each enumeration that people see.

A code without a label is shown as it is rather than breaking an incident page; the tests compare
these tables with the enumerations.
"""

from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator
from hotline.incidents.timeline import WORD_GROUPS

SEVERITY = {
    "critical": N_("紧急"),
    "major": N_("重要"),
    "minor": N_("一般"),
    "technical": N_("技术"),
}

ALARM_KIND = {
    "sos": N_("求助"),
    "fall": N_("跌倒"),
    "smoke": N_("烟雾"),
    "gas": N_("燃气泄漏"),
    "water_leak": N_("漏水"),
    "heart_rate_high": N_("心率过高"),
    "heart_rate_low": N_("心率过低"),
    "spo2_low": N_("血氧过低"),
    "blood_pressure_high": N_("血压过高"),
    "blood_pressure_low": N_("血压过低"),
    "body_temperature_high": N_("体温过高"),
    "body_temperature_low": N_("体温过低"),
    "respiratory_rate_high": N_("呼吸过快"),
    "respiratory_rate_low": N_("呼吸过慢"),
    "glucose_high": N_("血糖过高"),
    "glucose_low": N_("血糖过低"),
    "door_open": N_("门长时间未关"),
    "inactivity": N_("长时间无活动"),
    "bed_exit": N_("离床未归"),
    "geofence_exit": N_("离开安全区域"),
    "taken_off": N_("设备被摘下"),
    "device_offline": N_("设备离线"),
    "low_battery": N_("电量低"),
    "tamper": N_("设备被拆动"),
    "clock_skew": N_("设备时钟不准"),
    "self_test_overdue": N_("自检逾期"),
}

INCIDENT_STATUS = {
    "open": N_("待处置"),
    "acknowledged": N_("已接警"),
    "dispatched": N_("已派人"),
    "on_scene": N_("已到场"),
    "resolved": N_("已结案"),
}

RESOLUTION = {
    "founded": N_("属实"),
    "unfounded": N_("误报"),
    "cancelled": N_("取消"),
    "test": N_("测试"),
}

DISPATCH_STATUS = {
    "notified": N_("已通知"),
    "accepted": N_("已接受"),
    "en_route": N_("在路上"),
    "on_scene": N_("已到场"),
    "completed": N_("已完成"),
    "declined": N_("不能前往"),
    "withdrawn": N_("已撤回"),
}

SEX = {"male": N_("男"), "female": N_("女"), "unknown": N_("性别不详")}

LIVING_SITUATION = {
    "alone": N_("独居"),
    "couple": N_("与配偶同住"),
    "with_family": N_("与家人同住"),
    "with_carer": N_("与照护员同住"),
    "institution": N_("住养老机构"),
    "unknown": N_("居住情况不详"),
}

RELATION = {
    "spouse": N_("配偶"),
    "son": N_("儿子"),
    "daughter": N_("女儿"),
    "child": N_("子女"),
    "grandchild": N_("孙辈"),
    "sibling": N_("兄弟姐妹"),
    "relative": N_("亲属"),
    "neighbour": N_("邻居"),
    "friend": N_("朋友"),
    "carer": N_("照护员"),
    "community": N_("社区工作人员"),
    "guardian": N_("监护人"),
    "doctor": N_("家庭医生"),
    "other": N_("其他关系"),
}

ROLE = {
    "operator": N_("坐席"),
    "supervisor": N_("值班长"),
    "responder": N_("处置人员"),
    "subsidy_officer": N_("补贴经办"),
    "subsidy_reviewer": N_("补贴复核"),
    "care_manager": N_("照护管理"),
    "device_technician": N_("设备技术员"),
    "administrator": N_("管理员"),
    "auditor": N_("审计员"),
}

DEVICE_STATUS = {
    "stock": N_("在库"),
    "bound": N_("已绑定"),
    "faulty": N_("故障"),
    "retired": N_("已报废"),
}

# Why a device was taken from an elder, reported faulty, repaired or retired.
DEVICE_REASON = {
    "not_needed": N_("老人不再需要"),
    "replaced": N_("换了另一台"),
    "moved_away": N_("老人搬走"),
    "deceased": N_("老人去世"),
    "wrong_elder": N_("绑定错了人"),
    "rebound": N_("改绑给另一位老人"),
    "moved_room": N_("换了房间"),
    "no_power": N_("不开机或充不进电"),
    "no_signal": N_("没有信号"),
    "damaged": N_("外壳或部件损坏"),
    "false_alarms": N_("频繁误报"),
    "wrong_readings": N_("读数不准"),
    "part_replaced": N_("更换了部件"),
    "battery_replaced": N_("更换了电池"),
    "firmware_updated": N_("升级了固件"),
    "no_fault_found": N_("检测未见故障"),
    "beyond_repair": N_("无法修复"),
    "lost": N_("遗失"),
    "worn_out": N_("老化"),
    "recalled": N_("厂家召回"),
    "other": N_("其他原因"),
}

DEVICE_TYPE = {
    "watch": N_("手表"),
    "pendant": N_("呼叫器"),
    "button": N_("求助按钮"),
    "fall_detector": N_("跌倒探测器"),
    "bed_sensor": N_("床垫传感器"),
    "smoke": N_("烟感"),
    "gas": N_("燃气探测器"),
    "leak": N_("水浸探测器"),
    "door": N_("门磁"),
    "motion": N_("人体感应器"),
    "climate": N_("温湿度计"),
    "gateway": N_("网关"),
    "other": N_("其他设备"),
}

CONSENT_PURPOSE = {
    "service": N_("接受服务"),
    "monitoring": N_("居家监护"),
    "health_data": N_("健康数据"),
    "location": N_("位置信息"),
    "call_recording": N_("通话录音"),
    "family_sharing": N_("与家属共享"),
    "face": N_("人脸认证"),
}

CONNECTION = {
    "online": N_("在线"),
    "offline": N_("离线"),
    "never": N_("从未上线"),
    "unknown": N_("状态不详"),
}

DUTY = {"on_duty": N_("在岗"), "off_duty": N_("下班"), "busy": N_("处置中"), "break": N_("休息")}

# As in the catalogue devices/metrics.toml, names and units, in both languages.
METRIC = {
    "heart_rate": N_("心率"),
    "spo2": N_("血氧饱和度"),
    "bp_systolic": N_("收缩压"),
    "bp_diastolic": N_("舒张压"),
    "blood_pressure": N_("血压"),
    "body_temperature": N_("体温"),
    "respiratory_rate": N_("呼吸频率"),
    "glucose": N_("血糖"),
    "weight": N_("体重"),
    "steps": N_("步数"),
    "battery": N_("电量"),
    "ambient_temperature": N_("室温"),
    "humidity": N_("湿度"),
    "signal": N_("信号强度"),
}

METRIC_UNIT = {
    "heart_rate": N_("次/分"),
    "spo2": "%",
    "bp_systolic": "mmHg",
    "bp_diastolic": "mmHg",
    "blood_pressure": "mmHg",
    "body_temperature": "°C",
    "respiratory_rate": N_("次/分"),
    "glucose": "mmol/L",
    "weight": "kg",
    "steps": N_("步"),
    "battery": "%",
    "ambient_temperature": "°C",
    "humidity": "%",
    "signal": "dBm",
}

GROUPS: Mapping[str, Mapping[str, str]] = {
    "severity": SEVERITY,
    "alarm_kind": ALARM_KIND,
    "incident_status": INCIDENT_STATUS,
    "resolution": RESOLUTION,
    "dispatch_status": DISPATCH_STATUS,
    "sex": SEX,
    "living_situation": LIVING_SITUATION,
    "relation": RELATION,
    "role": ROLE,
    "device_status": DEVICE_STATUS,
    "device_reason": DEVICE_REASON,
    "device_type": DEVICE_TYPE,
    "consent_purpose": CONSENT_PURPOSE,
    "connection": CONNECTION,
    "duty": DUTY,
    "metric": METRIC,
    "metric_unit": METRIC_UNIT,
    **WORD_GROUPS,
}


def word(code: str, group: str, tr: Translator) -> str:
    """Return the label of a code in the translator's language.

    Raises KeyError for a group that does not exist; an unknown code is returned as it is.
    """
    label = GROUPS[group].get(str(code))
    return tr.gettext(label) if label else str(code)


def options(group: str, tr: Translator) -> list[tuple[str, str]]:
    """Return (code, label) pairs of a group for a select."""
    return [(code, tr.gettext(label)) for code, label in GROUPS[group].items()]
