"""Labels for what the audit log holds; a code without a label is shown as it is."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator
from kernel.audit import VerifyResult
from kernel.auth.model import Permission

ACTIONS: Mapping[str, str] = {
    "login.succeeded": N_("登录"),
    "login.failed": N_("登录失败"),
    "login.ended": N_("退出登录"),
    "login.ended_elsewhere": N_("退出其他地方的登录"),
    "password.changed": N_("修改密码"),
    "duty.started": N_("上岗"),
    "duty.ended": N_("下班"),
    "user.created": N_("新建账号"),
    "user.edited": N_("修改账号"),
    "user.disabled": N_("停用账号"),
    "user.password_reset": N_("重置密码"),
    "user.unlocked": N_("解除锁定"),
    "user.logged_out": N_("强制退出登录"),
    "elder.created": N_("新建老人"),
    "elder.changed": N_("修改老人"),
    "elder.updated": N_("修改老人"),
    "elder.contacts_set": N_("修改紧急联系人"),
    "elder.thresholds_set": N_("修改体征界限"),
    "elder.watch_set": N_("修改居家看护"),
    "elder.consent_given": N_("记录同意"),
    "elder.consent_withdrawn": N_("撤回同意"),
    "elder.looked_up": N_("按号码查找老人"),
    "elder.exported": N_("导出老人"),
    "elder.seeded": N_("写入演示老人"),
    "elder_import.previewed": N_("上传老人名册"),
    "elder_import.imported": N_("导入老人名册"),
    "elder_import.dropped": N_("放弃老人名册"),
    "elder_import.report_exported": N_("下载名册报告"),
    "dispatch.read": N_("处置人员打开派单"),
    "elder.read": N_("查看老人"),
    "elder.revealed": N_("显示隐藏内容"),
    "elder.archived": N_("归档老人"),
    "elder.restored": N_("恢复老人"),
    "elder.note_added": N_("添加备注"),
    "incident.read": N_("查看警情"),
    "incident.exported": N_("导出警情"),
    "responder.created": N_("添加处置人员"),
    "responder.edited": N_("修改处置人员"),
    "responder.disabled": N_("停用处置人员"),
    "responder.enabled": N_("恢复处置人员"),
    "responder.on_duty": N_("处置人员上岗"),
    "responder.off_duty": N_("处置人员下班"),
    "duty_phone.created": N_("添加值班电话"),
    "duty_phone.edited": N_("修改值班电话"),
    "duty_phone.removed": N_("删除值班电话"),
    "policy.saved": N_("修改升级策略"),
    "policy.removed": N_("删除升级策略"),
    "device.registered": N_("登记设备"),
    "device.adopted": N_("接管发现的设备"),
    "device.find_ignored": N_("忽略发现的设备"),
    "device.find_restored": N_("放回发现的设备"),
    "device.corrected": N_("修改设备资料"),
    "device.bound": N_("绑定设备"),
    "device.unbound": N_("解除设备"),
    "device.marked_faulty": N_("报告设备故障"),
    "device.repaired": N_("设备修复入库"),
    "device.retired": N_("报废设备"),
    "device.paused": N_("停用设备"),
    "device.resumed": N_("恢复设备"),
    "device.test_started": N_("打开设备测试模式"),
    "device.test_ended": N_("关闭设备测试模式"),
    "device.test_renewed": N_("延长设备测试模式"),
    "device.test_expired": N_("设备测试模式到时"),
    "device.away_started": N_("打开设备外出模式"),
    "device.away_renewed": N_("延长设备外出模式"),
    "device.away_ended": N_("结束设备外出模式"),
    "device.away_expired": N_("设备外出模式到时"),
    "device.maintenance_started": N_("打开设备维护模式"),
    "device.maintenance_renewed": N_("延长设备维护模式"),
    "device.maintenance_ended": N_("结束设备维护模式"),
    "device.maintenance_expired": N_("设备维护模式到时"),
    "device.credential_issued": N_("发放设备凭据"),
    "device.credential_rotated": N_("更换设备凭据"),
    "device.credential_revoked": N_("吊销设备凭据"),
    "device.alias_added": N_("添加设备协议名称"),
    "device.alias_removed": N_("删除设备协议名称"),
    "device.command_requested": N_("向设备发送指令"),
    "device.code_printed": N_("打印认领标签"),
    "device.claimed": N_("扫码认领设备"),
    "device.self_provisioned": N_("设备自助登记"),
    "device.certificate_issued": N_("签发设备证书"),
    "device.certificate_trusted": N_("登记别处签发的设备证书"),
    "device.certificate_revoked": N_("吊销设备证书"),
    "device_import.previewed": N_("上传设备清单"),
    "device_import.imported": N_("导入设备清单"),
    "device_import.dropped": N_("放弃设备清单"),
    "device_import.secrets_fetched": N_("下载设备凭据"),
    "batch.created": N_("开自助登记批次"),
    "batch.revoked": N_("结束自助登记批次"),
    "technical_alarm.acknowledge": N_("确认技术报警"),
    "technical_alarm.shelve": N_("搁置技术报警"),
    "technical_alarm.return": N_("取回技术报警"),
    "technical_alarm.clear": N_("标技术报警为恢复"),
    "firmware.uploaded": N_("上传固件"),
    "firmware.withdrawn": N_("撤下固件"),
    "firmware.rollout_started": N_("开始固件升级"),
    "firmware.rollout_paused": N_("暂停固件升级"),
    "firmware.rollout_running": N_("继续固件升级"),
    "firmware.rollout_aborted": N_("中止固件升级"),
    "firmware.rollout_completed": N_("完成固件升级"),
    "device.viewed": N_("查看设备"),
    "device.exported": N_("导出设备"),
    "dead_letter.viewed": N_("查看未解码消息"),
    "dead_letter.replay_requested": N_("重放未解码消息"),
    "dead_letter.discarded": N_("丢弃未解码消息"),
    "source.created": N_("添加推送来源"),
    "source.revoked": N_("吊销推送来源"),
    "outbox.retried": N_("再试没办成的事"),
    "outbox.discarded": N_("丢弃没办成的事"),
    "audit.exported": N_("导出审计"),
    "audit.verified": N_("核对审计"),
}
SUBJECTS: Mapping[str, str] = {
    "responder": N_("处置人员"),
    "duty_phone": N_("值班电话"),
    "policy": N_("升级策略"),
    "firmware": N_("固件"),
    "technical_alarm": N_("技术报警"),
    "user": N_("账号"),
    "elder": N_("老人"),
    "elder_import": N_("老人导入"),
    "incident": N_("警情"),
    "device": N_("设备"),
    "device_import": N_("设备导入"),
    "batch": N_("自助登记批次"),
    "dead_letter": N_("未解码消息"),
    "source": N_("推送来源"),
    "outbox": N_("没办成的事"),
    "audit": N_("审计"),
}
# Where the subject's page is, for those whose id is its address, and who may open it.
PAGES: Mapping[str, tuple[str, Permission]] = {
    "user": ("/console/staff/", Permission.USER_ADMIN),
    "elder": ("/console/elders/", Permission.ELDER_READ),
    "incident": ("/console/incidents/", Permission.INCIDENT_READ),
    "device": ("/console/devices/", Permission.DEVICE_READ),
    "dead_letter": ("/console/dead-letters/", Permission.DEAD_LETTER_READ),
    "outbox": ("/console/outbox/", Permission.SETTINGS_WRITE),
}
REASONS: Mapping[str, str] = {
    "the head was removed": N_("链头被删除"),
    "an entry was removed": N_("有记录被删除"),
    "the entry does not follow the one before it": N_("记录与前一条不相接"),
    "the entry was edited or inserted": N_("记录被修改或插入"),
    "the log was rewritten since the head was noted": N_("日志被整体改写"),
    "the end of the log was cut off": N_("日志末尾被截断"),
    "the head does not fit the last entry": N_("链头与最后一条不符"),
    "an entry was inserted behind the head": N_("链头之后被插入记录"),
    "the log is shorter than the noted head": N_("日志比留存的链头短"),
}


def subject(code: str, tr: Translator) -> str:
    """Return what one subject is called (the list of them may have another word), or the code."""
    text = SUBJECTS.get(code, code)
    return tr.pgettext("one", text) if ("one", text) in tr.messages else tr.gettext(text)


def label(words: Mapping[str, str], code: str, tr: Translator) -> str:
    """Return the label of a code, or the code."""
    return tr.gettext(words[code]) if code in words else code


def finding(result: VerifyResult, tr: Translator) -> str:
    """Return what a check of the chain found, in one sentence."""
    if result.ok:
        return tr.gettext(N_("链完整，已核对 %(count)s 条。")) % {"count": f"{result.checked:,}"}
    return tr.gettext(N_("链从第 %(seq)s 条起不可信：%(reason)s。")) % {
        "seq": f"{result.broken_seq:,}",
        "reason": label(REASONS, result.reason, tr),
    }
