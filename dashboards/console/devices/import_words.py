"""The words of importing devices: problems of a row, what the columns are for."""

from collections.abc import Mapping

from dashboards.console.devices import words
from dashboards.console.elders.words import IMPORT_STATE
from dashboards.console.elders.words import sentence as general_sentence
from dashboards.ui.i18n import N_, Translator
from devices.imports.model import Line

STATE = IMPORT_STATE
PROBLEM: Mapping[str, str] = {
    "file.heading_missing": N_("没有找到表头：至少要有“编号”和“型号”两列"),
    "file.no_rows": N_("表头下面没有设备"),
    "device_id.required": N_("没有写编号"),
    "device_id.twice": N_("与第 %(row)s 行的编号相同"),
    "device_id.rounded": N_("表格软件把它改成了近似值，请按文本重新填写"),
    "serial.rounded": N_("表格软件把它改成了近似值，请按文本重新填写"),
    "address.rounded": N_("表格软件把它改成了近似值，请按文本重新填写"),
    "address.twice": N_("与第 %(row)s 行在协议中的名称相同"),
    "profile.unknown": N_("没有这个型号；型号表在模板里"),
    "profile.ambiguous": N_("不止一个型号叫这个名字，请填型号代码"),
    "division_code.required": N_("没有写存放区划，上传时也没有选"),
    "division_code.not_found": N_("没有找到这个区划"),
    "division_code.ambiguous": N_("不止一个地方叫这个名字，请写全或填代码"),
    "division_code.outside": N_("不在您负责的区域"),
}
# What the template's columns are called, and what may stand in them.
ABOUT: tuple[tuple[str, str], ...] = (
    ("编号", N_("必填。印在设备上的编号，以后不能修改。")),
    ("型号", N_("必填。名称或代码，见“型号”一页。")),
    ("存放区划", N_("名称或代码。不填就用上传时选的区划。")),
    ("序列号", N_("厂家的序列号，可以不填。")),
    ("网关", N_("经网关说话的设备，填网关的编号；网关可以在同一张表里。")),
    (
        "协议中的名称",
        N_("4G 手表填 IMEI 的后十位，Zigbee 设备填网关里的名称；自己用编号说话的设备不填。"),
    ),
)


def sentence(line: Line, tr: Translator) -> str:
    """Return the sentence of a problem in the reader's language."""
    code = f"{line.field}.{line.code}"
    known = PROBLEM.get(code) or words.PROBLEM.get(code)
    return tr.gettext(known) % line.facts if known else code


def sheet_sentence(code: str, facts: Mapping[str, int], tr: Translator) -> str:
    """Return why a file cannot be read at all."""
    return general_sentence(code, facts, tr)
