"""Who is suggested: on duty, able, free, near.

The nearest by the last fix comes first. A fix older than 1,800 s says where somebody was: it ranks
after every fresh one, by how much of the division the station shares with the incident.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from devices.alarms import AlarmKind
from hotline.responders.model import Responder, Skill, Suggestion
from kernel.geo import distance_m

STALE_SECONDS = 1800
# Roads are longer than the great circle, and an electric bicycle in a city makes about 18 km/h.
ROAD_FACTOR = 1.4
SPEED_M_PER_S = 5.0
# 省 市 县 乡 村: how many digits of a division code belong to the level and those above.
_LEVELS = (2, 4, 6, 9, 12)

_BODY = frozenset({Skill.FIRST_AID, Skill.NURSING})
SKILLS: Mapping[AlarmKind, frozenset[Skill]] = {
    AlarmKind.SOS: frozenset({Skill.FIRST_AID}),
    AlarmKind.FALL: frozenset({Skill.FIRST_AID, Skill.LIFTING}),
    AlarmKind.SMOKE: frozenset({Skill.FIRE_SAFETY}),
    AlarmKind.GAS: frozenset({Skill.FIRE_SAFETY}),
    AlarmKind.WATER_LEAK: frozenset({Skill.PLUMBING}),
    AlarmKind.HEART_RATE_HIGH: _BODY,
    AlarmKind.HEART_RATE_LOW: _BODY,
    AlarmKind.SPO2_LOW: _BODY,
    AlarmKind.BLOOD_PRESSURE_HIGH: _BODY,
    AlarmKind.BLOOD_PRESSURE_LOW: _BODY,
    AlarmKind.BODY_TEMPERATURE_HIGH: _BODY,
    AlarmKind.BODY_TEMPERATURE_LOW: _BODY,
    AlarmKind.RESPIRATORY_RATE_HIGH: _BODY,
    AlarmKind.RESPIRATORY_RATE_LOW: _BODY,
    AlarmKind.GLUCOSE_HIGH: _BODY,
    AlarmKind.GLUCOSE_LOW: _BODY,
    AlarmKind.INACTIVITY: frozenset({Skill.FIRST_AID, Skill.LOCKSMITH}),
    AlarmKind.BED_EXIT: frozenset({Skill.LIFTING}),
    AlarmKind.DOOR_OPEN: frozenset({Skill.VISIT}),
    AlarmKind.GEOFENCE_EXIT: frozenset({Skill.VISIT}),
    AlarmKind.TAKEN_OFF: frozenset({Skill.VISIT}),
    AlarmKind.DEVICE_OFFLINE: frozenset({Skill.DEVICES}),
    AlarmKind.LOW_BATTERY: frozenset({Skill.DEVICES}),
    AlarmKind.TAMPER: frozenset({Skill.DEVICES}),
    AlarmKind.CLOCK_SKEW: frozenset({Skill.DEVICES}),
    AlarmKind.SELF_TEST_OVERDUE: frozenset({Skill.DEVICES}),
}


def city_of(division_code: str) -> str:
    """Return the prefix within which people are sent: the city's."""
    return division_code[:4]


def suggest(
    responders: Iterable[Responder],
    kind: AlarmKind,
    division_code: str,
    position: tuple[float, float] | None,
    now: datetime,
) -> list[Suggestion]:
    """Return those on duty, best first; `position` is (latitude, longitude) in WGS-84 degrees."""
    found = [
        _explain(one, SKILLS[kind], division_code, position, now)
        for one in responders
        if one.on_duty
    ]
    return sorted(found, key=_rank)


def _explain(
    one: Responder,
    wanted: frozenset[Skill],
    division_code: str,
    position: tuple[float, float] | None,
    now: datetime,
) -> Suggestion:
    away: float | None = None
    age: int | None = None
    if one.lat is not None and one.lon is not None and one.fix_at is not None:
        age = max(0, int((now - one.fix_at).total_seconds()))
        if position is not None:
            away = distance_m(*position, one.lat, one.lon)
    return Suggestion(
        id=one.id,
        name=one.name,
        station=one.station,
        skills=list(one.skills),
        matched=sorted(wanted & set(one.skills)),
        missing=sorted(wanted - set(one.skills)),
        distance_m=away,
        eta_s=None if away is None else round(away * ROAD_FACTOR / SPEED_M_PER_S),
        fix_age_s=age,
        fix_stale=age is not None and age > STALE_SECONDS,
        shared=shared_levels(one.division_code, division_code),
        busy=one.busy,
    )


def _rank(one: Suggestion) -> tuple[bool, bool, bool, float, int, float, str]:
    fresh = one.distance_m is not None and not one.fix_stale
    far = math.inf if one.distance_m is None else one.distance_m
    return (
        one.busy > 0,
        not one.matched,
        not fresh,
        far if fresh else 0.0,
        -one.shared,
        far,
        one.name,
    )


def shared_levels(one: str, other: str) -> int:
    """Return how many levels (province to village, 0 to 5) two division codes have in common."""
    return sum(one[:digits] == other[:digits] for digits in _LEVELS)
