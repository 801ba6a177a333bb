"""Demonstration data of this wing: responders, escalation policies, the duty phone.

People, numbers and stations are invented; the numbers lie in a range that is not in use.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from devices.alarms import Severity
from hotline.contacts.model import PHONE
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.incidents import store as incidents
from hotline.responders import service as responders
from hotline.responders import store as responder_store
from hotline.responders.model import Skill
from kernel.crypto import FieldCipher
from kernel.db import Tx

CITY = "1501"
DUTY_NAME, DUTY_PHONE, DUTY_USERNAME = "值班长", "13947100009", "lijianguo"


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    phone: str
    division_code: str
    station: str
    lat: float
    lon: float
    skills: tuple[Skill, ...]
    on_duty: bool = True


_RESPONDERS = (
    _Person(
        "斯琴", "13947100001", "150102000000", "新城区海东路社区养老服务站", 40.8583, 111.6920,
        (Skill.FIRST_AID, Skill.NURSING, Skill.LIFTING),
    ),
    _Person(
        "马志强", "13947100002", "150102000000", "新城区东街日间照料中心", 40.8421, 111.6655,
        (Skill.FIRST_AID, Skill.LOCKSMITH, Skill.VISIT),
    ),
    _Person(
        "哈斯巴根", "13947100003", "150103000000", "回民区中山西路社区养老服务站", 40.8085,
        111.6236, (Skill.FIRST_AID, Skill.FIRE_SAFETY, Skill.LIFTING),
    ),
    _Person(
        "刘玉兰", "13947100004", "150103000000", "回民区通道街照护中心", 40.8264, 111.6349,
        (Skill.NURSING, Skill.VISIT), on_duty=False,
    ),
    _Person(
        "郭建军", "13947100005", "150104000000", "玉泉区大召前街社区养老服务站", 40.7969, 111.6538,
        (Skill.FIRST_AID, Skill.PLUMBING, Skill.VISIT),
    ),
    _Person(
        "乌云其木格", "13947100006", "150105000000", "赛罕区大学西路综合养老服务中心", 40.8127,
        111.6936, (Skill.FIRST_AID, Skill.NURSING, Skill.LIFTING, Skill.VISIT),
    ),
    _Person(
        "张海龙", "13947100007", "150105000000", "赛罕区昭乌达路社区养老服务站", 40.7893, 111.7011,
        (Skill.FIRST_AID, Skill.FIRE_SAFETY, Skill.LOCKSMITH),
    ),
    _Person(
        "敖特根", "13947100008", "150105000000", "呼和浩特市智慧养老设备维护队", 40.8305, 111.7297,
        (Skill.DEVICES, Skill.VISIT),
    ),
)  # fmt: skip


async def seed_responders(tx: Tx, cipher: FieldCipher, since: datetime, now: datetime) -> int:
    """Add responders, who came `since` and say where they are `now`, policies and the duty phone.

    Return how many people. A second call adds nobody and renews what is configured. The duty phone
    claims for the demonstration's supervisor when that account is there.
    """
    await seed_policies(tx, since)
    await seed_duty_phone(tx, cipher)
    if await responder_store.all_of(tx):
        return 0
    for one in _RESPONDERS:
        responder_id = await responders.add(
            tx, cipher, name=one.name, phone=one.phone, skills=one.skills,
            division_code=one.division_code, station=one.station, on_duty=one.on_duty, now=since,
        )  # fmt: skip
        await responders.report_position(tx, responder_id, one.lat, one.lon, 25.0, now)
    return len(_RESPONDERS)


async def seed_policies(tx: Tx, now: datetime) -> None:
    """Configure the default policies for the demonstration's city."""
    for severity in Severity:
        policy = rules.DEFAULTS[severity]
        if severity is Severity.MINOR:
            # Somebody should at least hear of it within half an hour.
            policy = replace(policy, steps=(rules.Step(1800, rules.Notify.EVERYONE),))
        await escalation.save_policy(tx, CITY, severity, policy.dump(), now)


async def seed_duty_phone(tx: Tx, cipher: FieldCipher) -> None:
    """Configure the duty phone of the demonstration's city."""
    await escalation.save_duty_phone(
        tx,
        division=CITY,
        position=1,
        name=DUTY_NAME,
        phone_enc=cipher.encrypt(PHONE, DUTY_PHONE),
        phone_index=cipher.blind_index(PHONE, DUTY_PHONE),
        user_id=await incidents.account_id(tx, DUTY_USERNAME),
    )
