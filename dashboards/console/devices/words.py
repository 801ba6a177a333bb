"""The words of the devices' pages for the codes of the registry, in Chinese as the source."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator
from dashboards.ui.words import DEVICE_REASON, DEVICE_STATUS
from devices.profiles import PROFILES
from devices.registry.model import Device

# What is done next, on its button; the same words stand over the page that asks for the reason.
ACTION = {
    "bind": N_("绑定老人"),
    "unbind": N_("解绑"),
    "mark_faulty": N_("报故障"),
    "repair": N_("修复入库"),
    "retire": N_("报废"),
}
REBIND = N_("改绑")
# What an action does, said before it is done.
EFFECT = {
    "unbind": N_("设备回到库存，不再属于这位老人；凭据保留，可以再绑定给别人。"),
    "mark_faulty": N_("设备退出使用；绑定着老人的会同时解绑。修好后可以重新入库。"),
    "repair": N_("设备回到库存，可以再绑定给老人。"),
    "retire": N_("设备永久停用，凭据立即失效，绑定同时解除。报废后不能恢复。"),
}
# What the audit log says was done, after a name: “巴图 绑定了设备”.
CHANGE = {
    "device.registered": N_("登记了设备"),
    "device.adopted": N_("接管了设备"),
    "device.corrected": N_("修改了资料"),
    "device.bound": N_("绑定了老人"),
    "device.unbound": N_("解除了绑定"),
    "device.marked_faulty": N_("报了故障"),
    "device.repaired": N_("修复入库"),
    "device.retired": N_("报废了设备"),
    "device.paused": N_("停用了设备"),
    "device.resumed": N_("恢复了使用"),
    "device.test_started": N_("打开了测试模式"),
    "device.test_ended": N_("关闭了测试模式"),
    "device.away_started": N_("打开了外出模式"),
    "device.away_ended": N_("结束了外出模式"),
    "device.maintenance_started": N_("打开了维护模式"),
    "device.maintenance_ended": N_("结束了维护模式"),
    "device.test_renewed": N_("延长了测试模式"),
    "device.away_renewed": N_("延长了外出模式"),
    "device.maintenance_renewed": N_("延长了维护模式"),
    "device.test_expired": N_("测试模式到时结束"),
    "device.away_expired": N_("外出模式到时结束"),
    "device.maintenance_expired": N_("维护模式到时结束"),
    "device.credential_issued": N_("发放了凭据"),
    "device.credential_rotated": N_("更换了凭据"),
    "device.credential_revoked": N_("吊销了凭据"),
    "device.alias_added": N_("添加了协议名称"),
    "device.alias_removed": N_("删除了协议名称"),
    "device.self_provisioned": N_("自助登记了设备"),
    "device.certificate_issued": N_("签发了证书"),
    "device.certificate_trusted": N_("登记了别处签发的证书"),
    "device.certificate_revoked": N_("吊销了证书"),
    "device.code_printed": N_("打印了认领标签"),
    "device.claimed": N_("扫码认领了设备"),
    "device.command_requested": N_("向设备发了指令"),
}
COMMAND = {
    "locate": N_("立即定位"),
    "ring": N_("响铃"),
    "speak": N_("播报"),
    "set_interval": N_("设置上报间隔"),
    "set_thresholds": N_("设置报警阈值"),
    "reboot": N_("重启"),
    "update": N_("升级固件"),
}
# What platforms say of a command on its way, why a device refused by number, why one ended before
# its time, and why one was never sent (devices/downlink.py, commands/model.py). Other details are
# the device's own words.
COMMAND_DETAIL = {
    "handed_over": N_("已交给平台转发"),
    "transmitted": N_("网关已发射"),
    "repeated": N_("设备没有确认，平台会再发"),
    "unconfirmed": N_("设备没有确认"),
    "failed": N_("执行失败"),
    "wrong_message": N_("设备说指令有误"),
    "not_supported": N_("设备不支持"),
    "superseded": N_("已被新的设置取代"),
    "withdrawn": N_("升级已撤回"),
    "moved_on": N_("设备已换人使用或停用"),
    "not_said.bad_device_id": N_("它在协议中的名称不对"),
    "not_said.unknown_command": N_("它的协议里没有这条指令"),
    "not_said.text_encoding": N_("文字里有它认不出的字"),
    "not_said.too_long": N_("文字太长"),
    "not_said.interval": N_("它不支持这个间隔"),
    "not_said.bad_value": N_("它的协议写不出这条指令"),
}
COMMAND_STATE = {
    "queued": N_("等待发送"),
    "sent": N_("已发出，等待应答"),
    "acknowledged": N_("已执行"),
    "refused": N_("设备拒绝"),
    "expired": N_("已过期"),
    # Refused by us: the device never heard of it.
    "unsent": N_("无法发送"),
    # Refused by the platform in between: the device heard nothing, or said nothing.
    "undelivered": N_("未送达"),
    # Too late, and it had left: perhaps it was carried out, and a siren says nothing back.
    "unanswered": N_("没有应答"),
}
COMMAND_TONE = {
    "queued": "quiet",
    "sent": "accent",
    "acknowledged": "good",
    "refused": "warn",
    "expired": "quiet",
    "unsent": "warn",
    "undelivered": "warn",
    "unanswered": "warn",
}
PROBLEM = {
    "device_id.form": N_("编号由字母、数字、横线和下划线组成，以字母或数字开头，最长 64 个字符"),
    "device_id.taken": N_("这个编号已经登记过"),
    "profile.unknown": N_("请选择型号"),
    "division_code.outside": N_("请选择您负责范围内的区划"),
    "gateway_id.unknown": N_("没有这个网关，或者它不在您负责的区域"),
    "gateway_id.itself": N_("设备不能做自己的网关"),
    "serial.too_long": N_("序列号最长 64 个字符"),
    "codec.unknown": N_("请选择协议"),
    "address.required": N_("请填写设备在协议中的名称"),
    "address.too_long": N_("名称最长 128 个字符"),
    "address.form": N_("名称里有看不见的字符，请重新输入"),
    "address.taken": N_("另一台设备已经用了这个名称"),
    "elder_id.required": N_("请先搜索并选中一位老人"),
    "room.too_long": N_("房间最长 40 个字"),
    "reason.required": N_("请说明原因"),
    "reason.too_long": N_("原因最长 200 个字"),
    "note.required": N_("选了“其他原因”，请在备注里写明"),
    "note.too_long": N_("备注最长 200 个字"),
    "mode.required": N_("请选择模式"),
    "until.range": N_("请选择多久：测试最长 24 小时，维护最长 30 天，外出最长 90 天"),
    "devices.required": N_("请至少选一台设备"),
    "devices.too_many": N_("一次最多打印 240 张"),
    "devices.not_in_stock": N_("选中的设备里有的已不在库，请重新选"),
    "lasts.range": N_("请选择有效期"),
    "paper.unknown": N_("请选择标签纸"),
    "device.unknown": N_("这台设备不能挂在这里，或者已经不在"),
    "batch.form": N_("批次名由字母、数字和横线组成，最长 32 个字符"),
    "batch.taken": N_("这个批次名已经用过，请换一个"),
    "profile.no_secret": N_("这种型号不自己登录，不能自助登记"),
    "most.range": N_("一个批次 1 到 10000 台"),
    "csr.required": N_("请粘贴签名请求"),
    "csr.too_long": N_("签名请求太长了"),
    "csr.unreadable": N_("不是 PEM 格式的签名请求"),
    "csr.signature": N_("签名请求没有用它自己的密钥签名"),
    "csr.key": N_("密钥太弱，或者是不认识的种类；请用 EC P-256"),
    "csr.name": N_("请求里的名称是另一台设备的"),
    "csr.no_authority": N_("这台服务器上没有可用的证书机构"),
    "csr.retired": N_("已报废的设备不能再签发证书"),
    "days.range": N_("有效天数是 1 到 3650"),
    "certificate.unreadable": N_("不是 PEM 格式的证书"),
    "certificate.name": N_("证书里的名称是另一台设备的"),
    "certificate.expired": N_("证书已经到期"),
    "certificate.known": N_("这张证书已经登记过，或者设备已报废"),
    "code.required": N_("请输入标签上的认领码"),
    "code.unknown": N_("没有这个认领码。请看清楚再输一次；打印了新标签的，旧标签作废"),
    "code.used": N_("这个认领码已经用过了"),
    "code.expired": N_("这个认领码过期了，请让设备管理员重新打印标签"),
    "code.not_in_stock": N_("这台设备已不在库：可能已经绑定，或者报了故障"),
}
_ORDER = (
    "device_id", "profile", "division_code", "gateway_id", "codec", "address", "serial",
    "elder_id", "room", "mode", "until", "reason", "note", "code", "devices", "paper", "lasts",
    "csr", "days", "certificate", "batch", "most", "device",
)  # fmt: skip
CAPABILITY = {
    "sos": N_("求助按键"),
    "fall": N_("跌倒识别"),
    "vitals": N_("体征"),
    "location": N_("定位"),
    "geofence": N_("安全区域"),
    "speech": N_("语音通话"),
    "ring": N_("响铃"),
    "bed": N_("在床离床"),
    "motion": N_("人体活动"),
    "door": N_("门的开关"),
    "smoke": N_("烟雾"),
    "gas": N_("燃气"),
    "water_leak": N_("漏水"),
    "climate": N_("温湿度"),
    "subdevices": N_("下挂设备"),
    "commands": N_("远程命令"),
}
SUPPRESSED = {
    "device_paused": N_("停用中，未呼叫"),
    "device_test": N_("测试模式，未通知"),
    "device_away": N_("外出模式，未通知"),
    "device_maintenance": N_("维护模式，未通知"),
    "elder_away": N_("老人外出，未呼叫"),
}
# RFC 5280, 5.3.1.
REVOKE_REASON = {
    "unspecified": N_("未说明"),
    "key_compromise": N_("私钥泄露"),
    "affiliation_changed": N_("换了归属"),
    "failed": N_("执行失败"),
    "wrong_message": N_("设备说指令有误"),
    "not_supported": N_("设备不支持"),
    "superseded": N_("已换新证书"),
    "cessation_of_operation": N_("停止使用"),
}
TECHNICAL_STATE = {
    "active": N_("未确认"),
    "acknowledged": N_("已确认"),
    "shelved": N_("已搁置"),
    "cleared": N_("已恢复"),
}
TECHNICAL_TONE = {"active": "bad", "acknowledged": "accent", "shelved": "quiet", "cleared": "good"}
SOURCE = {"device": N_("设备上报"), "rule": N_("规则判断"), "person": N_("人工")}
CONNECTION = {"online": N_("在线"), "offline": N_("离线"), "never": N_("从未上线")}
# Silent for at least so many hours.
_SILENCES: Mapping[int, str] = {
    1: N_("1 小时以上"),
    24: N_("1 天以上"),
    168: N_("7 天以上"),
    720: N_("30 天以上"),
}
_BATTERIES = ("50", "20", "10")
STATE_TONE = {"stock": "", "bound": "accent", "faulty": "bad", "retired": "quiet"}
CONNECTION_TONE = {"online": "good", "offline": "bad", "never": "quiet"}
MODE = {"test": N_("测试模式"), "away": N_("外出模式"), "maintenance": N_("维护模式")}
# What devices/modes/rules.py holds back, in a sentence each.
MODE_EFFECT = {
    "test": N_(
        "这台设备的报警只开测试警情，不呼叫任何人，求助键也是；离线和被拆动不通知技术员。"
        "电量低、时钟不准照常通知。"
    ),
    "away": N_(
        "老人外出：长时间无活动、离床未归、设备离线、自检逾期不通知。"
        "求助、跌倒、烟雾、燃气、体征和其他报警照常呼叫。"
    ),
    "maintenance": N_(
        "设备检修：长时间无活动、离床未归、设备离线、设备被拆动、自检逾期不通知。"
        "求助、跌倒、烟雾、燃气、体征和其他报警照常呼叫。"
    ),
}
# How long a mode may be asked to run, in hours.
MODE_HOURS: Mapping[int, str] = {
    1: N_("1 小时"),
    4: N_("4 小时"),
    24: N_("1 天"),
    72: N_("3 天"),
    168: N_("7 天"),
    336: N_("14 天"),
    720: N_("30 天"),
    2160: N_("90 天"),
}
ROOMS = (N_("随身佩戴"), N_("客厅"), N_("卧室"), N_("床"), N_("卫生间"), N_("厨房"), N_("大门"))


def label(words: Mapping[str, str], code: str, tr: Translator) -> str:
    """Return the label of a code, or the code where there is none."""
    return tr.gettext(words[code]) if code in words else code


def labels(words: Mapping[str, str], tr: Translator) -> dict[str, str]:
    """Return every label in the reader's language."""
    return {code: tr.gettext(text) for code, text in words.items()}


def errors_of(fields: Mapping[str, str], tr: Translator) -> dict[str, str]:
    """Return a sentence for each problem of the registry (field → code), as the form is ordered."""
    placed = sorted(fields.items(), key=lambda item: _ORDER.index(item[0]))
    return {name: label(PROBLEM, f"{name}.{code}", tr) for name, code in placed}


def model_title(profile: str, language: str) -> str:
    """Return the name of a model, its code where the model is no longer known."""
    model = PROFILES.get(profile)
    return model.title(language) if model else profile


def model_choices(language: str) -> list[tuple[str, str]]:
    """Return (code, name) of every model, by vendor and name."""
    models = sorted(PROFILES.values(), key=lambda one: (one.codec, one.title(language)))
    return [(model.code, model.title(language)) for model in models]


def state_line(device: Device, tr: Translator) -> str:
    """Return the state and, where somebody gave one, the reason: 故障（没有信号）."""
    state = label(DEVICE_STATUS, device.state.value, tr)
    if not device.state_reason:
        return state
    reason = label(DEVICE_REASON, device.state_reason, tr)
    if device.state_reason == "other":
        reason = device.state_note
    return tr.gettext(N_("%(state)s（%(reason)s）")) % {"state": state, "reason": reason}


def silence_choices(tr: Translator) -> list[tuple[str, str]]:
    """Return (hours, label) of how long a device may have been silent."""
    return [(str(hours), tr.gettext(text)) for hours, text in _SILENCES.items()]


def battery_choices(tr: Translator) -> list[tuple[str, str]]:
    """Return (code, label) of low charges: by the model's own limit, and in per cent."""
    return [("low", tr.gettext(N_("电量低"))), *((most, f"≤ {most} %") for most in _BATTERIES)]


def held_choices(tr: Translator) -> list[tuple[str, str]]:
    """Return (code, label) of what holds alarms back: anything, or one mode."""
    return [("1", tr.gettext(N_("测试、外出或维护中"))), *labels(MODE, tr).items()]
