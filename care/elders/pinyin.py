"""Pinyin of names, for people who type on a Latin keyboard while the telephone rings.

Surnames are read as surnames (单 shàn, 解 xiè, 曾 zēng), and where a character has two readings
that a family may use, both are found.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product

from pypinyin import lazy_pinyin

# Readings of surnames that differ from the character's usual one, or of which families use two.
_SURNAMES: dict[str, tuple[str, ...]] = {
    "单": ("shan",), "解": ("xie",), "曾": ("zeng",), "仇": ("qiu",), "区": ("ou",),
    "查": ("zha",), "盖": ("ge", "gai"), "朴": ("piao", "pu"), "乐": ("yue", "le"),
    "任": ("ren",), "冼": ("xian",), "洗": ("xian",), "缪": ("miao",), "宓": ("mi", "fu"),
    "员": ("yun",), "贾": ("jia",), "燕": ("yan",), "翟": ("zhai", "di"), "费": ("fei", "bi"),
    "纪": ("ji",), "华": ("hua",), "种": ("chong",), "繁": ("po",), "秘": ("bi",), "折": ("she",),
    "黑": ("he", "hei"), "车": ("che",), "重": ("chong",), "召": ("shao",), "覃": ("qin", "tan"),
    "隗": ("wei", "kui"), "祭": ("zhai", "ji"), "句": ("gou",), "幺": ("yao",), "牟": ("mu", "mou"),
    "逄": ("pang",), "佴": ("nai",), "那": ("na",), "能": ("nai",), "藏": ("zang", "cang"),
    "谌": ("chen", "shen"), "阚": ("kan",), "哈": ("ha",), "薄": ("bo",), "柏": ("bai", "bo"),
    "贲": ("ben",), "葛": ("ge",), "盛": ("sheng",), "石": ("shi",), "沈": ("shen",),
    "曲": ("qu",), "宿": ("su",), "应": ("ying",), "尉": ("wei", "yu"), "相": ("xiang",),
    "都": ("du",), "过": ("guo",), "郇": ("xun", "huan"), "眭": ("sui",), "訾": ("zi",),
    "郗": ("xi", "chi"), "宁": ("ning",), "莘": ("shen", "xin"), "覀": ("xi",), "褶": ("zhe",),
    "晁": ("chao",), "臧": ("zang",), "俞": ("yu",), "瞿": ("qu",),
    "撒": ("sa",), "乜": ("nie",), "角": ("jue",), "洛": ("luo",), "叶": ("ye",),
    "呙": ("guo",), "吾": ("wu",), "冒": ("mao",), "卜": ("bu",), "炅": ("gui",),
    "尹": ("yin",), "於": ("yu",), "长": ("chang", "zhang"), "行": ("xing",), "降": ("jiang",),
    "万俟": ("mo qi",), "尉迟": ("yu chi",), "澹台": ("tan tai",), "长孙": ("zhang sun",),
    "令狐": ("ling hu",), "单于": ("chan yu",), "鲜于": ("xian yu",),
    "宗政": ("zong zheng",), "濮阳": ("pu yang",), "夏侯": ("xia hou",), "欧阳": ("ou yang",),
    "皇甫": ("huang fu",), "诸葛": ("zhu ge",), "呼延": ("hu yan",), "拓跋": ("tuo ba",),
}  # fmt: skip
# Characters that parents read in two ways in a given name. Dictionaries know many more readings
# (英 also yang), which would only make every search find strangers.
_TWO_READINGS: dict[str, tuple[str, ...]] = {
    "行": ("xing", "hang"), "乐": ("le", "yue"), "重": ("chong", "zhong"), "朝": ("chao", "zhao"),
    "长": ("chang", "zhang"), "茜": ("qian", "xi"), "娜": ("na", "nuo"), "晟": ("sheng", "cheng"),
    "莎": ("sha", "suo"), "传": ("chuan", "zhuan"), "盛": ("sheng", "cheng"), "柏": ("bai", "bo"),
    "省": ("sheng", "xing"), "藏": ("cang", "zang"), "仔": ("zai", "zi"), "隽": ("jun", "juan"),
    "参": ("can", "shen"), "朴": ("pu", "piao"), "奇": ("qi", "ji"), "扎": ("zha", "za"),
    "单": ("dan", "shan"), "曾": ("zeng", "ceng"), "倩": ("qian", "qing"),
    "广": ("guang", "an"), "强": ("qiang", "jiang"), "降": ("jiang", "xiang"), "解": ("jie", "xie"),
    "圩": ("xu", "wei"), "术": ("shu", "zhu"), "车": ("che", "ju"),
    "会": ("hui", "kuai"), "觉": ("jue", "jiao"), "屏": ("ping", "bing"), "峤": ("qiao", "jiao"),
    "芎": ("xiong", "qiong"), "荨": ("xun", "qian"), "褚": ("chu", "zhu"),
}  # fmt: skip
_RUNS = re.compile(r"[A-Za-z0-9]+|[\u3400-\u9fff\U00020000-\U000323af]+")
_MOST_READINGS = 8
_MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What the columns `pinyin` and `pinyin_initials` hold: words to search from their start."""

    pinyin: str
    initials: str


def reading_of(name: str) -> Reading:
    """Return the searchable reading of a normalised name.

    李秀英 → `lixiuying xiuying ying` and `lxy xy y`. Latin letters stay as they are, in small.
    """
    full: dict[str, None] = {}
    short: dict[str, None] = {}
    for syllables in _readings(name):
        for start in range(len(syllables)):
            full.setdefault("".join(syllables[start:]))
            short.setdefault("".join(s[0] for s in syllables[start:]))
    return Reading(_bounded(full), _bounded(short))


def _bounded(words: Iterable[str]) -> str:
    # A B-tree entry must stay under 2,704 bytes, also for the sixty characters a name may have.
    text = " ".join(words)
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS].rpartition(" ")[0]


def _readings(name: str) -> list[list[str]]:
    """Return the ways to read a name as syllables, the likeliest first."""
    surname, surname_readings = _surname(name)
    given = _syllables(name[len(surname) :])
    choices: list[Sequence[list[str]]] = [surname_readings] if surname else []
    choices += [[[syllable] for syllable in readings] for readings in given]
    combined = islice(product(*choices), _MOST_READINGS)
    return [[s for part in parts for s in part] for parts in combined]


def _surname(name: str) -> tuple[str, list[list[str]]]:
    for length in (2, 1):
        known = _SURNAMES.get(name[:length])
        # A name of two characters is one of surname and given name, never a double surname alone.
        if known and (length == 1 or len(name) > 2):
            return name[:length], [reading.split() for reading in known]
    # Read alone, so that pypinyin does not read it as part of a word with the given name.
    likely = lazy_pinyin(name[:1], errors=lambda _: "")
    if len(name) >= 2 and _is_chinese(name[0]) and any(likely):
        return name[0], [likely]
    return "", []


def _syllables(text: str) -> list[list[str]]:
    """Return the readings of each syllable of a given name; a Latin word is one syllable."""
    syllables: list[list[str]] = []
    for run in _RUNS.findall(text):
        if run.isascii():
            syllables.append([run.lower()])
            continue
        # The whole run at once: pypinyin knows words, and a character reads by its neighbours.
        # A list for several characters is documented by pypinyin, its annotation knows only text.
        every = lazy_pinyin(run, errors=_one_each)  # type: ignore[arg-type]
        for char, likely in zip(run, every, strict=True):
            readings = dict.fromkeys((likely, *_TWO_READINGS.get(char, ())))
            syllables.append([one for one in readings if one])
    return [readings for readings in syllables if readings]


def _one_each(text: str) -> list[str]:
    # A character without pinyin is left out of the reading; it can still be searched as it is.
    return ["" for _ in text]


def _is_chinese(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or char >= "\U00020000"
