"""The words of found devices, in Chinese as the source."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator
from devices.codecs.homeassistant.config import Entity
from devices.codecs.homeassistant.values import metric_of, metric_of_class
from devices.discovery.model import Found
from devices.metrics import METRICS

STATUS = {"open": N_("待接管"), "adopted": N_("已接管"), "ignored": N_("已忽略")}
# What an entity tells that is no metric.
TELLS = {
    "safety": N_("安全状态"),
    "problem": N_("故障"),
    "tamper": N_("防拆"),
    "vibration": N_("震动"),
    "battery": N_("电量低"),
    "connectivity": N_("是否在线"),
}
PRESS = N_("按键")
OTHER = N_("其他")
ERROR = {
    ("device_id", "form"): N_("编号只能用字母、数字、- 和 _，最多 64 个字符。"),
    ("device_id", "taken"): N_("已有这个编号的设备，换一个。"),
    ("profile", "unknown"): N_("请选择型号。"),
    ("address", "taken"): N_("这台设备在协议里的名称已经属于别的设备。"),
}
UNFIT = N_("不能这样填。")


def tells(found: Found, tr: Translator) -> list[str]:
    """What a found device tells, each once, in the person's language."""
    return list(dict.fromkeys(_tells(entity, tr) for entity in found.entities))


def _tells(entity: Entity, tr: Translator) -> str:
    if entity.component in ("event", "device_automation"):
        return tr.gettext(PRESS)
    sensor = entity.component == "sensor"
    code = metric_of(entity) if sensor else metric_of_class(entity.device_class)
    if code:
        metric = METRICS[code]
        return metric.name_zh if tr.locale.startswith("zh") else metric.name_en
    word = "" if sensor else TELLS.get(entity.device_class, "")
    return tr.gettext(word) if word else entity.name or tr.gettext(OTHER)


def errors(fields: Mapping[str, str], tr: Translator) -> dict[str, str]:
    """Codes of what was wrong, as sentences by field."""
    return {name: tr.gettext(ERROR.get((name, code), UNFIT)) for name, code in fields.items()}
