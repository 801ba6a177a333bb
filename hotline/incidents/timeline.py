"""What each line of the timeline says: a Chinese sentence with places for values and for words.

A page translates the sentence (dashboards/locale/en/incidents.po), puts `values` in as they are and
`words` after looking them up: (group, code) as in dashboards/ui/words.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hotline.incidents.model import Event


@dataclass(frozen=True, slots=True)
class Phrase:
    """`text` has %(name)s places; every one is in `values` or in `words`."""

    text: str
    values: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)


PURPOSES: Mapping[str, str] = {
    "elder": "老人",
    "contact": "联系人",
    "chain": "联系人（按顺序）",
    "duty": "值班电话",
    "dispatch": "处置人员",
    "stand_down": "处置人员",
}
ATTEMPT_STATUS: Mapping[str, str] = {
    "queued": "排队中",
    "ringing": "振铃中",
    "in_progress": "通话中",
    "sent": "已发出",
    "delivered": "已送达",
    "completed": "已接通",
    "no_answer": "无人接听",
    "busy": "占线",
    "failed": "失败",
}
KEYS: Mapping[str, str] = {"1": "知晓", "2": "已出发", "3": "不能处理"}
# The groups that this wing adds to those of dashboards/ui/words.py.
WORD_GROUPS: Mapping[str, Mapping[str, str]] = {
    "contact_purpose": PURPOSES,
    "attempt_status": ATTEMPT_STATUS,
    "phone_key": KEYS,
}

# kind of event → (sentence, values taken from data, words: name → (group, name in data))
_Words = Mapping[str, tuple[str, str]]
_ALARM: _Words = {"alarm": ("alarm_kind", "alarm")}
_CONTACT: _Words = {"purpose": ("contact_purpose", "purpose")}
_SENTENCES: Mapping[str, tuple[str, tuple[str, ...], _Words]] = {
    "incident.opened": ("%(alarm)s报警，警情开始", (), _ALARM),
    "incident.repeated": ("%(alarm)s再次触发，第 %(count)s 次", ("count",), _ALARM),
    "incident.tested": ("测试报警：%(alarm)s（%(device)s），不计入", ("device",), _ALARM),
    "incident.severity_raised": (
        "级别由%(old)s升为%(new)s",
        (),
        {"old": ("severity", "from_severity"), "new": ("severity", "severity")},
    ),
    "condition.cleared": ("报警条件已恢复，仍需人工确认", (), {}),
    "incident.acknowledged": ("已接警", (), {}),
    "incident.released": ("已放回队列", (), {}),
    "incident.handed_over": ("由 %(from_name)s 移交给 %(to_name)s", ("from_name", "to_name"), {}),
    "incident.dispatched": ("派出 %(responder)s", ("responder",), {}),
    "incident.stood_down": ("没有人在路上，退回已接警", (), {}),
    "incident.on_scene": ("有人到场", (), {}),
    "incident.resolved": (
        "结案：%(resolution)s。%(reason)s",
        ("reason",),
        {"resolution": ("resolution", "resolution")},
    ),
    "incident.reopened": ("重新打开：%(reason)s", ("reason",), {}),
    "escalation.skipped": ("升级步骤在 %(window)s 之外，跳过", ("window",), {}),
    "escalation.no_duty_phone": ("没有可拨打的值班电话", (), {}),
    "escalation.next_phone": ("%(to)s 正在通话，改呼%(next)s", ("to", "next"), {}),
    "escalation.waiting": ("%(to)s 正在通话，排队等待呼叫", ("to",), {}),
    "note.added": ("备注：%(text)s", ("text",), {}),
    "contact.called": ("呼叫%(purpose)s %(to)s", ("to",), _CONTACT),
    "contact.texted": ("发短信给%(purpose)s %(to)s", ("to",), _CONTACT),
    "contact.pressed": (
        "%(to)s 按键 %(digit)s（%(key)s）",
        ("to",),
        {"key": ("phone_key", "key")},
    ),
    "contact.ended": (
        "%(purpose)s %(to)s：%(status)s",
        ("to",),
        {"purpose": ("contact_purpose", "purpose"), "status": ("attempt_status", "status")},
    ),
    "dispatch.accepted": ("%(responder)s 接受任务", ("responder",), {}),
    "dispatch.en_route": ("%(responder)s 已出发", ("responder",), {}),
    "dispatch.on_scene": ("%(responder)s 已到达", ("responder",), {}),
    "dispatch.completed": ("%(responder)s 完成任务", ("responder",), {}),
    "dispatch.declined": ("%(responder)s 不能前往", ("responder",), {}),
    "dispatch.withdrawn": ("撤回 %(responder)s", ("responder",), {}),
    "dispatch.note": ("现场备注：%(text)s", ("text",), {}),
    "dispatch.photo": ("现场照片", (), {}),
}
_ESCALATED: Mapping[str, tuple[str, tuple[str, ...], _Words]] = {
    "everyone": ("已等待 %(seconds)s 秒无人接警，提醒全体坐席和值班长", ("seconds",), {}),
    "duty_phone": ("已等待 %(seconds)s 秒无人接警，呼叫值班电话", ("seconds",), {}),
    "stale_claim": ("接警已久又再次触发，提高响度", (), {}),
    "time_in_status": (
        "停留在“%(status)s”已 %(seconds)s 秒，提醒全体坐席和值班长",
        ("seconds",),
        {"status": ("incident_status", "status")},
    ),
    "dispatch_unanswered": ("%(responder)s 没有接受任务，正在电话通知", ("responder",), {}),
    "dispatch_declined": ("%(responder)s 不能前往，请另派人员", ("responder",), {}),
    "no_contact_reached": ("所有联系人都未联系上", (), {}),
}
UNKNOWN = "%(kind)s"


def describe(event: Event) -> Phrase:
    """Return the sentence of a line; a kind that has none is named as it is."""
    data = event.data
    if event.kind == "incident.escalated":
        reason = str(data.get("reason", ""))
        key = str(data.get("notify", "")) if reason == "unacknowledged" else reason
        found = _ESCALATED.get(key)
    else:
        found = _SENTENCES.get(event.kind)
    if found is None:
        return Phrase(UNKNOWN, {"kind": event.kind})
    text, names, words = found
    values = {name: str(data.get(name, "")) for name in names}
    if event.kind == "contact.pressed":
        values["digit"] = str(data.get("key", ""))
    return Phrase(
        text,
        values,
        {name: (group, str(data.get(key, ""))) for name, (group, key) in words.items()},
    )


def sentences() -> list[str]:
    """Return every sentence and word of this module, for the completeness test of the catalogue."""
    found = [text for text, _, _ in (*_SENTENCES.values(), *_ESCALATED.values())]
    return found + [label for group in WORD_GROUPS.values() for label in group.values()]
