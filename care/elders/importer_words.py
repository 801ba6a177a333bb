"""The words that lists of elders use for columns and for what stands in them."""

import re
from collections.abc import Mapping

from care.elders.model import LivingSituation, Relation

# The first heading of each field is the template's own.
_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "name": ("姓名", "老人姓名", "名字", "老人", "name"),
    "id_number": (
        "身份证号",
        "身份证",
        "身份证号码",
        "公民身份号码",
        "证件号码",
        "证件号",
        "idnumber",
    ),
    "sex": ("性别", "sex", "gender"),
    "birth_date": ("出生日期", "出生年月", "出生年月日", "生日", "birthdate", "dateofbirth"),
    "division": (
        "行政区划",
        "区划",
        "区划代码",
        "行政区划代码",
        "所属区划",
        "所属区域",
        "division",
    ),
    "county": ("区县", "所属区县", "县区", "旗县区", "区", "county", "district"),
    "township": ("街道", "乡镇", "乡镇街道", "街道乡镇", "镇街", "所属街道", "township"),
    "village": ("社区", "村", "社区村", "村社区", "所属社区", "居委会", "village"),
    "address": (
        "住址",
        "地址",
        "家庭住址",
        "现住址",
        "居住地址",
        "详细地址",
        "家庭地址",
        "address",
    ),
    "living_situation": ("居住情况", "居住状况", "居住方式", "居住类型", "livingsituation"),
    "phone1": ("电话", "联系电话", "手机", "手机号", "手机号码", "本人电话", "老人电话", "phone"),
    "phone2": ("备用电话", "固定电话", "座机", "其他电话", "电话2", "家庭电话", "phone2"),
    "risk_notes": ("风险提示", "风险", "注意事项", "特殊情况", "risknotes"),
    "medical_notes": ("病史用药", "病史", "疾病史", "既往病史", "健康状况", "用药", "medicalnotes"),
    "access_notes": ("入户信息", "入户方式", "钥匙位置", "门禁", "accessnotes"),
    "languages": ("语言", "语言方言", "方言", "使用语言", "languages"),
    "lat": ("纬度", "lat", "latitude"),
    "lon": ("经度", "lon", "lng", "longitude"),
}
_CONTACT_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "name": ("姓名", "", "名字", "name"),
    "relation": ("关系", "与老人关系", "relation"),
    "phone": ("电话", "手机", "手机号", "联系电话", "phone"),
    "key": ("有钥匙", "钥匙", "haskey"),
}
_CONTACT_NAMES = {
    1: ("联系人1", "联系人一", "第一联系人", "紧急联系人1", "紧急联系人一", "联系人", "紧急联系人",
        "家属", "监护人", "contact1"),
    2: ("联系人2", "联系人二", "第二联系人", "紧急联系人2", "紧急联系人二", "contact2"),
    3: ("联系人3", "联系人三", "第三联系人", "紧急联系人3", "紧急联系人三", "contact3"),
}  # fmt: skip


def _every_heading() -> dict[str, str]:
    headings = {word: field for field, words in _HEADINGS.items() for word in words}
    for number, names in _CONTACT_NAMES.items():
        for part, words in _CONTACT_HEADINGS.items():
            for name in names:
                for word in words:
                    headings.setdefault(name + word, f"contact{number}_{part}")
    return headings | dict.fromkeys(("关系", "与老人关系"), "contact1_relation")


HEADINGS: Mapping[str, str] = _every_heading()
TEMPLATE: tuple[str, ...] = (
    *(words[0] for field, words in _HEADINGS.items()
      if field not in {"county", "township", "village"}),
    *(f"联系人{n}{words[0]}" for n in (1, 2, 3) for words in _CONTACT_HEADINGS.values()),
)  # fmt: skip

_LIVING = {
    LivingSituation.ALONE: ("独居", "单独居住", "一人", "空巢独居", "alone"),
    LivingSituation.COUPLE: (
        "与配偶同住", "夫妻同住", "与老伴同住", "双老", "双老同住", "空巢夫妻", "couple",
    ),
    LivingSituation.WITH_FAMILY: (
        "与家人同住", "与子女同住", "子女同住", "随子女", "家人同住", "with_family",
    ),
    LivingSituation.WITH_CARER: (
        "与照护员同住", "与保姆同住", "保姆同住", "住家保姆", "with_carer",
    ),
    LivingSituation.INSTITUTION: (
        "住养老机构", "养老机构", "养老院", "敬老院", "机构养老", "机构", "institution",
    ),
    LivingSituation.UNKNOWN: ("", "不详", "未知", "居住情况不详", "unknown"),
}  # fmt: skip
_RELATIONS = {
    Relation.SPOUSE: "配偶 老伴 丈夫 妻子 爱人 老公 老婆 夫 妻 夫妻 spouse",
    Relation.SON: "儿子 长子 次子 三子 四子 大儿子 二儿子 小儿子 子 独子 养子 son",
    Relation.DAUGHTER: "女儿 长女 次女 三女 四女 大女儿 二女儿 小女儿 女 独女 养女 daughter",
    Relation.CHILD: "子女 孩子 child",
    Relation.GRANDCHILD: "孙子 孙女 外孙 外孙女 孙辈 孙 长孙 grandchild",
    Relation.SIBLING: "兄弟 姐妹 兄弟姐妹 哥哥 弟弟 姐姐 妹妹 兄 弟 姐 妹 兄妹 姐弟 sibling",
    Relation.RELATIVE: (
        "亲属 亲戚 儿媳 儿媳妇 女婿 侄子 侄女 侄儿 外甥 外甥女 孙媳 孙女婿 表弟 表妹 嫂子 relative"
    ),
    Relation.NEIGHBOUR: "邻居 邻里 对门 neighbour neighbor",
    Relation.FRIEND: "朋友 老友 同事 战友 同学 friend",
    Relation.CARER: "照护员 护理员 保姆 护工 照料者 家政 carer",
    Relation.COMMUNITY: (
        "社区工作人员 社区 社工 网格员 村干部 村委 居委 居委会 楼长 楼栋长 助老员 community"
    ),
    Relation.GUARDIAN: "监护人 guardian",
    Relation.DOCTOR: "家庭医生 医生 村医 签约医生 doctor",
    Relation.OTHER: "其他 其他关系 other",
}
_LIVING_WORDS = {word: living for living, words in _LIVING.items() for word in words}
_RELATION_WORDS = {
    word: relation for relation, words in _RELATIONS.items() for word in words.split()
}
_YES = frozenset({"是", "有", "y", "yes", "true", "1", "√", "✓", "对"})


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text).lower()


def living_of_word(text: str) -> LivingSituation | None:
    """Return the living situation that a word means; None when it is none of ours."""
    return _LIVING_WORDS.get(_plain(text))


def relation_of_word(text: str) -> Relation:
    """Return the relation that a word means; `other` for what we have no word for."""
    return _RELATION_WORDS.get(_plain(text), Relation.OTHER)


def yes(text: str) -> bool:
    """True for 是, 有, Y, 1, √."""
    return _plain(text) in _YES


def column_of(field: str) -> str:
    """Return the column of a rule's field: `contacts.0.phone` → `contact1_phone`."""
    parts = field.split(".")
    if parts[0] == "contacts" and len(parts) == 3:
        return f"contact{int(parts[1]) + 1}_{'key' if parts[2] == 'has_key' else parts[2]}"
    if parts[0] == "phones" and len(parts) == 3:
        return f"phone{int(parts[1]) + 1}"
    return "division" if field == "division_code" else field
