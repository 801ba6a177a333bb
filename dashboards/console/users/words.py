"""What each role may do, as the form explains it."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_
from kernel.auth.model import Role

ROLE_HINTS: Mapping[Role, str] = {
    Role.OPERATOR: N_("接警、处置、呼叫、派人，查看老人资料"),
    Role.SUPERVISOR: N_("坐席的全部权限，加上督办、维护老人与设备"),
    Role.RESPONDER: N_("通过短信链接处置派单，不登录控制台"),
    Role.SUBSIDY_OFFICER: N_("补贴经办，查看老人资料"),
    Role.SUBSIDY_REVIEWER: N_("补贴复核，查看老人资料"),
    Role.CARE_MANAGER: N_("维护老人、联系人与照护计划"),
    Role.DEVICE_TECHNICIAN: N_("登记、绑定设备，处理未解码消息"),
    Role.ADMINISTRATOR: N_("管理账号、设备与设置；不能查看审计"),
    Role.AUDITOR: N_("查看并核对审计日志"),
}
STATES: Mapping[str, str] = {
    "active": N_("使用中"),
    "locked": N_("已锁定"),
    "disabled": N_("已停用"),
}
