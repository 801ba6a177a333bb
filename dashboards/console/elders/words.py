"""The sentences of the elders' pages for the codes of care, in Chinese as the source."""

from collections.abc import Iterable, Mapping

from care.elders.problems import Problem
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.words import METRIC

PROBLEMS: Mapping[str, str] = {
    "required": N_("这一项必须填写。"),
    "too_long": N_("最多 %(limit)s 个字。"),
    "too_many": N_("最多 %(limit)s 项。"),
    "unknown_choice": N_("不在可选的范围内。"),
    "name_characters": N_("姓名只能有文字、空格和间隔号。"),
    "division_code": N_("区划代码应为 12 位数字。"),
    "division_unknown": N_("没有这个区划，请从提示中选一个。"),
    "division_outside": N_("这个区划不在您负责的区域。"),
    "division_ambiguous": N_("有几个同名的区划，请连同区县一起写。"),
    "id_number_length": N_("身份证号应为 18 位。"),
    "id_number_old": N_("这是 15 位的旧号码，请填写现在身份证上的 18 位号码。"),
    "id_number_characters": N_("身份证号应为 17 位数字加一位数字或 X。"),
    "id_number_birth_date": N_("身份证号里的出生日期不是一个真实的、已经过去的日子。"),
    "id_number_check": N_("身份证号的校验位不对：有一位写错了，或者两位写反了。"),
    "id_number_division": N_("身份证号的前六位不是已知的区划，请核对。"),
    "id_number_taken": N_("这个身份证号已经登记过。"),
    "id_number_taken_in_file": N_("与本文件第 %(row)s 行的身份证号相同。"),
    "id_number_rounded": N_("表格软件把这个号码四舍五入了，请把这一列设为文本后重新填写。"),
    "sex_disagrees": N_("与身份证号不一致。"),
    "birth_date_disagrees": N_("与身份证号不一致。"),
    "date_unreadable": N_("不是一个日期，请写成 1943-05-01。"),
    "date_in_future": N_("这一天还没有到。"),
    "too_old": N_("没有人超过 %(limit)s 岁。"),
    "under_60": N_("不满 60 岁，请核对。"),
    "phone": N_("不是可以拨打的电话号码。"),
    "phone_twice": N_("这个号码写了两次。"),
    "phone_is_own": N_("这是老人自己的号码。"),
    "number_unreadable": N_("不是一个数字。"),
    "position_half": N_("纬度和经度要一起填写。"),
    "position_range": N_("超出了经纬度的范围。"),
    "position_abroad": N_("这个位置不在中国境内。"),
    "limits_order": N_("四个界限要从小到大。"),
    "limits_range": N_("应在 %(low)s 到 %(high)s 之间。"),
    "metric_unknown": N_("这项指标不能设界限。"),
    "minutes_range": N_("应在 %(low)s 到 %(high)s 分钟之间。"),
    "radius_range": N_("应在 %(low)s 到 %(high)s 米之间。"),
    "fence_incomplete": N_("安全区域要有中心和半径。"),
    "doors_order": N_("紧急的时间不能短于重要的时间。"),
    "already_given": N_("这项同意已经记录，还没有撤回。"),
    "perhaps_registered": N_("同名同电话的老人已经登记过，可能是同一个人。"),
    "heading_missing": N_("没有找到含“姓名”一列的表头。"),
    "no_rows": N_("表头下面没有数据。"),
    "file_missing": N_("请选择一个文件。"),
    "file_empty": N_("文件里没有内容。"),
    "file_too_large": N_("文件超过 %(limit)s MB。"),
    "file_unpacks_too_large": N_("文件展开后太大，不像是一份名册。"),
    "file_old_excel": N_("这是 Excel 97–2003 的格式，请另存为 .xlsx 后再试。"),
    "file_unreadable": N_("不是 .xlsx 或 .csv 文件，或者文件已损坏。"),
    "file_encoding": N_("文字编码不是 UTF-8 或 GB 18030。"),
    "too_many_rows": N_("超过 %(limit)s 行，请分成几个文件。"),
    "too_many_columns": N_("超过 %(limit)s 列。"),
    "cell_too_long": N_("第 %(row)s 行有一格超过 %(limit)s 个字。"),
}

FIELDS: Mapping[str, str] = {
    "name": N_("姓名"),
    "id_number": N_("身份证号"),
    "sex": N_("性别"),
    "birth_date": N_("出生日期"),
    "division": N_("所在区划"),
    "division_code": N_("所在区划"),
    "address": N_("住址"),
    "lat": N_("纬度"),
    "lon": N_("经度"),
    "languages": N_("语言"),
    "risk_notes": N_("风险提示"),
    "medical_notes": N_("病史与用药"),
    "access_notes": N_("入户信息"),
    "phones": N_("电话"),
    "contacts": N_("联系人"),
    "text": N_("备注"),
    "reason": N_("归档原因"),
    "purpose": N_("用途"),
    "text_version": N_("文本版本"),
    "given_by": N_("同意人"),
    "file": N_("文件"),
    "watch": N_("居家看护"),
}
LIMITS: Mapping[str, str] = {
    "low_critical": N_("过低·紧急"),
    "low_major": N_("过低·重要"),
    "high_major": N_("过高·重要"),
    "high_critical": N_("过高·紧急"),
}
AGE_BANDS: Mapping[str, str] = {
    "0-59": N_("不满 60 岁"),
    "60-69": N_("60–69 岁"),
    "70-79": N_("70–79 岁"),
    "80-89": N_("80–89 岁"),
    "90-99": N_("90–99 岁"),
    "100-": N_("100 岁以上"),
}
IMPORT_STATE: Mapping[str, str] = {
    "previewed": N_("待确认"),
    "imported": N_("已导入"),
    "dropped": N_("已放弃"),
    "expired": N_("已过期"),
}


def sentence(code: str, facts: Mapping[str, object], tr: Translator) -> str:
    """Return the sentence of a problem in the reader's language."""
    return tr.gettext(PROBLEMS[code]) % facts


def errors_of(problems: Iterable[Problem], tr: Translator) -> dict[str, str]:
    """Return the first sentence of each field, for the fields themselves."""
    found: dict[str, str] = {}
    for problem in problems:
        found.setdefault(problem.field, sentence(problem.code, problem.facts, tr))
    return found


def summary_of(problems: Iterable[Problem], tr: Translator) -> dict[str, str]:
    """Return what the error summary says of each field: its name and the sentence."""
    found: dict[str, str] = {}
    colon = tr.gettext(N_("："))
    for problem in problems:
        said = sentence(problem.code, problem.facts, tr)
        found.setdefault(problem.field, field_name(problem.field, tr) + colon + said)
    return found


def field_name(field: str, tr: Translator) -> str:
    """Return a field's name: `phones.0.number` is 电话 1, `thresholds.spo2.low_major` is 血氧 …"""
    parts = field.split(".")
    if parts[0] == "thresholds" and len(parts) > 1:
        from_metric = METRIC.get(parts[1], parts[1])
        limit = LIMITS.get(parts[2], "") if len(parts) > 2 else ""
        return " ".join(filter(None, (tr.gettext(from_metric), tr.gettext(limit) if limit else "")))
    name = tr.gettext(FIELDS.get(parts[0], parts[0]))
    if len(parts) > 1 and parts[1].isdigit():
        return f"{name} {int(parts[1]) + 1}"
    return name
