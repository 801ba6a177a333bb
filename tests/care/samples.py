"""Drafts that the rules accept."""

from dataclasses import replace
from datetime import date
from typing import Any

from care.elders.model import Contact, Draft, LivingSituation, Phone, Relation, Sex

PHONE = "13812345678"
LANDLINE = "04716281234"
SON_PHONE = "13900001111"
ID_NUMBER = "150102194001011238"
ADDRESS = "海东路88号丽苑小区3号楼2单元501室"

LI = Draft(
    name="李建国",
    division_code="150102006000",
    sex=Sex.MALE,
    birth_date=date(1940, 1, 1),
    id_number=ID_NUMBER,
    address=ADDRESS,
    lat=40.8345,
    lon=111.728,
    living_situation=LivingSituation.ALONE,
    risk_notes="两年前髋部骨折",
    medical_notes="青霉素过敏",
    access_notes="钥匙盒密码 4821",
    languages=("晋语", "普通话"),
    phones=(Phone(PHONE, "手机"), Phone(LANDLINE, "家里")),
)
SON = Contact("李强", Relation.SON, SON_PHONE, has_key=True)
NEIGHBOUR = Contact("张桂英", Relation.NEIGHBOUR, "15047110000", notes="住对门")


def draft(**changes: Any) -> Draft:
    """Return somebody without an ID number, so that several can be registered."""
    base = replace(LI, id_number="", phones=(Phone(PHONE),))
    return replace(base, **changes)
