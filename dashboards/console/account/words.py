"""Sentences for what is wrong with an account or a password (codes of kernel/auth/problems.py)."""

from collections.abc import Mapping

from dashboards.ui.i18n import N_, Translator
from kernel.errors import Invalid

PROBLEMS: Mapping[str, str] = {
    "required": N_("这一项必须填写。"),
    "too_long": N_("太长了，请缩短。"),
    "username_characters": N_("用户名为 2 到 64 个字母、数字、点、横线或下划线。"),
    "username_taken": N_("这个用户名已有人使用。"),
    "role_unknown": N_("没有这个角色。"),
    "own_rights": N_("不能修改自己的角色或区域，请由另一位管理员修改。"),
    "disable_self": N_("不能停用自己的账号。"),
    "division_prefix": N_("请填写省、市、县区、乡镇或村的代码，例如 150102。"),
    "division_unknown": N_("没有这个行政区划。"),
    "division_ambiguous": N_("有几个同名的行政区划，请改填代码。"),
    "division_outside": N_("这个区划不在您负责的区域内。"),
    "choice_unknown": N_("没有这个选项。"),
    "password_short": N_("密码至少 10 个字符。"),
    "password_long": N_("密码最多 256 个字符。"),
    "password_is_username": N_("密码不能就是用户名。"),
    "password_common": N_("这个密码太常见，容易被猜到。"),
    "password_same": N_("新密码与现在的密码相同。"),
    "password_wrong": N_("现在的密码不对。"),
    "password_repeat": N_("两次输入的新密码不一致。"),
}
# In the summary above a form a sentence stands without its field.
NEEDED: Mapping[str, str] = {
    "display_name": N_("请填写姓名。"),
    "roles": N_("请至少选择一个角色。"),
}


def errors_of(error: Invalid, tr: Translator) -> dict[str, str]:
    """Return {field: sentence} for a form that was refused."""
    codes: Mapping[str, str] = error.facts.get("problems", {})

    def words_for(field: str, code: str) -> str:
        return NEEDED.get(field, PROBLEMS[code]) if code == "required" else PROBLEMS[code]

    return {field: tr.gettext(words_for(field, code)) for field, code in codes.items()}
