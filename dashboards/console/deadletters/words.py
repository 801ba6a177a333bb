"""The words of the dead letters' pages: why a frame could not be used, and what to do about it."""

import re
from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator

REASON: Mapping[str, str] = {
    "unknown_device": N_("系统里没有登记这台设备"),
    "unknown_gateway": N_("转来消息的网关没有登记"),
    "unknown_topic": N_("没有协议使用这个主题"),
    "device_retired": N_("设备已经报废"),
    "foreign_device": N_("设备不属于转来消息的网关"),
    "foreign_topic": N_("设备归另一个网关，消息却出现在这个主题里"),
    "outside_division": N_("设备不在推送来源的区划内"),
    "bad_device_id": N_("设备编号的写法不对"),
    "malformed_json": N_("内容不是完整的 JSON"),
    "not_an_object": N_("内容应是一个 JSON 对象"),
    "oversized": N_("消息超过允许的大小"),
    "missing_field": N_("缺少必需的字段"),
    "bad_type": N_("字段的类型不对"),
    "bad_value": N_("字段的值不在允许的范围内"),
    "bad_time": N_("时间无法识别"),
    "bad_field": N_("报文里有一段无法识别"),
    "bad_header": N_("报文头不对"),
    "not_a_frame": N_("不是一个完整的报文"),
    "truncated": N_("报文中途断了"),
    "batch_empty": N_("批量消息里没有内容"),
    "batch_too_large": N_("一批里的消息太多"),
    "unknown_metric": N_("指标都不认识"),
    "unknown_alarm": N_("报警的种类不认识"),
    "unknown_command": N_("命令不认识"),
    "incomplete": N_("消息分成几包，其余的没有收到"),
    "encrypted": N_("内容由应用加密，无法读取"),
    "bad_template": N_("配置里的取值模板无法识别"),
    "processing_failed": N_("处理时程序出错"),
    "not_kept": N_("同一来源太多，只计了数"),
}
# What helps, by reason; a replay is of use only after that.
ADVICE: Mapping[str, str] = {
    "unknown_device": N_("登记这台设备（或给它添加这个协议名称），再重放，消息就能补回。"),
    "unknown_gateway": N_("先登记网关，再重放。"),
    "unknown_topic": N_("检查设备的主题设置；主题改对之前重放没有用。"),
    "device_retired": N_("设备还在用就登记一台新的；已经拆除的，关掉它的电源。"),
    "foreign_device": N_("在设备资料里选对网关，再重放。"),
    "foreign_topic": N_("在设备资料里选对网关，再重放。"),
    "outside_division": N_(
        "核对设备和老人的区划；推送来源该管更大的区划时，吊销旧令牌，另发一个。"
    ),
    "processing_failed": N_("这是程序的问题，不是设备的问题。升级修复之后重放，消息不会丢。"),
    "encrypted": N_("在应用里清空加密密钥；传输已有 TLS 保护。"),
    "not_kept": N_(
        "没有登录的通道，每个来源只保留开头的一部分，其余只计次数，免得占满磁盘。"
        "先处理这个来源保留下来的那些；不是自己的设备，就在防火墙上挡住它。"
    ),
    "oversized": N_("只保留了开头，不能重放。检查设备的固件。"),
}
FIRMWARE = N_(
    "通常是固件或设置的问题：把下面的内容交给设备厂家。原样重放不会成功，除非解码程序更新过。"
)
STATUS: Mapping[str, str] = {
    "open": N_("待处理"),
    "requested": N_("正在重放"),
    "replayed": N_("已重放"),
    "discarded": N_("已丢弃"),
}
TONE: Mapping[str, str] = {
    "open": "warn",
    "requested": "accent",
    "replayed": "good",
    "discarded": "quiet",
}
TRANSPORT: Mapping[str, str] = {"mqtt": "MQTT", "tcp": "TCP", "http": "HTTP", "sip": "SIP"}
_REPLAYED = re.compile(r"(\d+) of (\d+) messages stored(?:; (\w+): (.*))?", re.DOTALL)


def label(words: Mapping[str, str], code: str, tr: Translator) -> str:
    """Return the label of a code, or the code where there is none."""
    return tr.gettext(words[code]) if code in words else code


def advice(reason: str, tr: Translator) -> str:
    """Return what to do about a reason."""
    return tr.gettext(ADVICE.get(reason, FIRMWARE))


def replay_result(note: str | None, tr: Translator) -> str:
    """Return what came of a replay: ReplayResult.note in the reader's language."""
    found = _REPLAYED.fullmatch(note or "")
    if found is None:
        return note or ""
    stored, total, reason = found[1], found[2], found[3]
    said: list[str] = []
    if total != "0":
        counts = {"stored": stored, "total": total}
        said.append(tr.gettext(N_("%(total)s 条消息中新存入 %(stored)s 条")) % counts)
    if reason:
        why = {"reason": label(REASON, reason, tr)}
        said.append(tr.gettext(N_("仍不能用：%(reason)s")) % why)
    return tr.gettext(N_("；")).join(said)
