"""Labels of skills, and sentences for what is wrong with a form."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_
from hotline.escalation.rules import Notify
from hotline.responders.model import Skill

SKILLS: Mapping[Skill, str] = {
    Skill.FIRST_AID: N_("急救"),
    Skill.NURSING: N_("护理"),
    Skill.LIFTING: N_("搀扶搬抬"),
    Skill.FIRE_SAFETY: N_("消防"),
    Skill.LOCKSMITH: N_("开锁"),
    Skill.PLUMBING: N_("水暖"),
    Skill.DEVICES: N_("设备维护"),
    Skill.VISIT: N_("上门探访"),
}
NOTIFY: Mapping[Notify, str] = {
    Notify.EVERYONE: N_("提醒全体坐席和值班长"),
    Notify.DUTY_PHONE: N_("呼叫值班电话"),
}
PROBLEMS: Mapping[str, str] = {
    "phone": N_("电话号码为 3 到 15 位数字。"),
    "skill_unknown": N_("没有这项技能。"),
    "account_unknown": N_("您负责的区域内没有这个账号。"),
    "account_taken": N_("这个账号已关联另一位处置人员。"),
    "busy": N_("还有派单没有结束，暂时不能停用。"),
    "position": N_("顺序为 1 到 20 的整数。"),
    "position_taken": N_("这个区域的这个顺序已有一部电话。"),
    "account_cannot": N_("这个账号不能在这个区域接警。"),
    "steps_needed": N_("紧急和重要警情至少要有一个步骤。"),
    "step_time": N_("等待时间为 10 到 7200 秒。"),
    "step_order": N_("每一步都要比前一步晚。"),
    "step_every": N_("重复间隔为 30 到 3600 秒。"),
    "step_repeat": N_("重复次数为 0 到 5 次。"),
    "step_window": N_("时段写成 08:00-20:00，不限时段留空。"),
    "step_always": N_("紧急警情在 300 秒内要有一个不限时段的步骤。"),
    "seconds": N_("时间为 30 到 86400 秒。"),
}
