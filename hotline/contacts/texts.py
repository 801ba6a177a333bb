"""What is said and written to people outside: short, in Chinese, with no more than they need.

A text passes through networks that we do not control: names are masked, addresses and medical
notes never go in.
"""

from dataclasses import dataclass

from devices.alarms import AlarmKind, Severity
from hotline.contacts.model import Purpose
from kernel.crypto import mask_name

SIGNATURE = "【12349养老服务】"
SEVERITY = {
    Severity.CRITICAL: "紧急",
    Severity.MAJOR: "重要",
    Severity.MINOR: "一般",
    Severity.TECHNICAL: "技术",
}
KIND = {
    AlarmKind.SOS: "求助",
    AlarmKind.FALL: "疑似跌倒",
    AlarmKind.SMOKE: "烟雾报警",
    AlarmKind.GAS: "燃气报警",
    AlarmKind.WATER_LEAK: "漏水报警",
    AlarmKind.HEART_RATE_HIGH: "心率过高",
    AlarmKind.HEART_RATE_LOW: "心率过低",
    AlarmKind.SPO2_LOW: "血氧过低",
    AlarmKind.BLOOD_PRESSURE_HIGH: "血压过高",
    AlarmKind.BLOOD_PRESSURE_LOW: "血压过低",
    AlarmKind.BODY_TEMPERATURE_HIGH: "体温过高",
    AlarmKind.BODY_TEMPERATURE_LOW: "体温过低",
    AlarmKind.RESPIRATORY_RATE_HIGH: "呼吸过快",
    AlarmKind.RESPIRATORY_RATE_LOW: "呼吸过慢",
    AlarmKind.GLUCOSE_HIGH: "血糖过高",
    AlarmKind.GLUCOSE_LOW: "血糖过低",
    AlarmKind.DOOR_OPEN: "门长时间未关",
    AlarmKind.INACTIVITY: "长时间无活动",
    AlarmKind.BED_EXIT: "离床未归",
    AlarmKind.GEOFENCE_EXIT: "离开安全区域",
    AlarmKind.TAKEN_OFF: "设备被摘下",
    AlarmKind.DEVICE_OFFLINE: "设备离线",
    AlarmKind.LOW_BATTERY: "电量低",
    AlarmKind.TAMPER: "设备被拆动",
    AlarmKind.CLOCK_SKEW: "设备时钟不准",
    AlarmKind.SELF_TEST_OVERDUE: "自检逾期",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sentence may use. `elder_name` is empty for a device that is bound to nobody; `others`
    is how many further incidents of the area nobody has claimed.
    """

    number: int
    kind: AlarmKind
    severity: Severity
    place: str
    elder_name: str
    others: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", AlarmKind(self.kind))
        object.__setattr__(self, "severity", Severity(self.severity))


def _who(facts: Facts) -> str:
    return mask_name(facts.elder_name) + "老人" if facts.elder_name else "一台设备"


def _others(facts: Facts) -> str:
    return f"另有{facts.others}起警情等待接警，" if facts.others else ""


def spoken(purpose: Purpose, facts: Facts) -> str:
    """Return what is read to whoever answers."""
    kind, who = KIND[facts.kind], _who(facts)
    match purpose:
        case Purpose.ELDER:
            return "您好，这里是12349养老服务中心，收到了您的报警，正在为您接通工作人员。"
        case Purpose.CONTACT:
            return f"您好，这里是12349养老服务中心，{who}发出{kind}，正在为您接通工作人员。"
        case Purpose.CHAIN:
            return (
                f"您好，这里是12349养老服务中心，{who}发出{kind}。"
                "已知晓请按1，正在赶去请按2，不能处理请按3。"
            )
        case Purpose.DUTY:
            return (
                f"12349值班提醒：{facts.place}{SEVERITY[facts.severity]}警情，{kind}，"
                f"编号{facts.number}，尚无人接警，{_others(facts)}接警请按1，已出发请按2，不能处理请按3。"
            )
        case Purpose.DISPATCH:
            return (
                f"12349派单：{facts.place}{kind}，编号{facts.number}，请查看短信中的链接。"
                "接受请按1，已出发请按2，不能前往请按3。"
            )
        case Purpose.STAND_DOWN:
            return f"12349通知：编号{facts.number}的任务已取消，无需前往。"


def written(purpose: Purpose, facts: Facts) -> str:
    """Return the text of a message. A dispatch's link is added by `dispatch_text`."""
    kind, who = KIND[facts.kind], _who(facts)
    match purpose:
        case Purpose.DUTY:
            return (
                f"{SIGNATURE}{facts.place}{SEVERITY[facts.severity]}警情 {kind}，"
                f"编号{facts.number}，尚无人接警，{_others(facts)}请立即处置。"
            )
        case Purpose.DISPATCH:
            return f"{SIGNATURE}派单：{facts.place}{kind}，编号{facts.number}。"
        case Purpose.STAND_DOWN:
            return f"{SIGNATURE}编号{facts.number}的任务已取消，无需前往。"
        case _:
            return f"{SIGNATURE}{who}发出{kind}，工作人员正在处置，请留意12349来电。"


def dispatch_text(facts: Facts, link: str) -> str:
    """Return the message to a responder, with the link to the phone page."""
    return (
        f"{SIGNATURE}派单：{facts.place}{SEVERITY[facts.severity]} {KIND[facts.kind]}，"
        f"编号{facts.number}，请点击处置：{link}"
    )
