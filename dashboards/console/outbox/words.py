"""What the topics of the outbox are called, and what a retry of each one does."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator

TOPIC: Mapping[str, str] = {
    "carrier.call": N_("拨打电话"),
    "carrier.text": N_("发送短信"),
    "ingest.replay_dead_letter": N_("重放未解码消息"),
    "mqtt.access": N_("更新设备在消息服务器上的权限"),
    "device.command": N_("向设备发送指令"),
}
AGAIN: Mapping[str, str] = {
    "carrier.call": N_("警情里已经改为呼叫别人的，不会再打。"),
    "carrier.text": N_("已经作废的短信不会再发。"),
    "ingest.replay_dead_letter": N_("已经存过的内容不会重复。"),
    "mqtt.access": N_("写入的是设备现在的权限，不是当时的。"),
    "device.command": N_("过期的指令不会再发。"),
}
PROBLEMS: Mapping[str, str] = {
    "required": N_("写明原因，审计里会留下。"),
    "too_long": N_("原因最长 200 个字"),
}


def topic_label(topic: str, tr: Translator) -> str:
    """Return what a topic is called, or its code."""
    return tr.gettext(TOPIC[topic]) if topic in TOPIC else topic


def again(topic: str, tr: Translator) -> str:
    """Return what trying again will not do, "" where nobody has said."""
    return tr.gettext(AGAIN[topic]) if topic in AGAIN else ""
