"""Elders for the demonstration: invented, plausible, and the same for the same seed.

ID numbers have valid check digits; none of them belongs to a person on purpose.
"""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import cos, pi, radians, sin, sqrt

from care.consents import store as consents
from care.consents.model import Consent, ConsentPurpose
from care.elders import demo_words as words
from care.elders import store
from care.elders.ages import local_date, years_before
from care.elders.demo_words import TOWNSHIPS, Township
from care.elders.model import Contact, Draft, LivingSituation, Phone, Relation, Sex
from care.elders.store import NewElder
from care.watching import store as watching
from care.watching.model import Threshold, Watch
from kernel import audit
from kernel.auth.model import SYSTEM
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.divisions.service import children, load_divisions
from kernel.resident_id import check_character

_METRES_PER_DEGREE = 111_320.0
_BATCH = 100
# What is set up for the last who were registered; their devices come some days later.
_LATEST = timedelta(days=45)


@dataclass(frozen=True, slots=True)
class SeededElder:
    """An elder of the demonstration and where the home is (WGS-84)."""

    id: uuid.UUID
    name: str
    lat: float
    lon: float
    division_code: str


async def seed_elders(
    tx: Tx, cipher: FieldCipher, count: int, now: datetime, seed: int
) -> list[SeededElder]:
    """Insert `count` elders with contacts, consents, limits and notes; brings the divisions along.

    The same seed and `now` give the same people with the same ids: only once in one database.
    """
    await load_divisions(tx)
    villages = {
        one.code: [village.code for village in await children(tx, one.code)] for one in TOWNSHIPS
    }
    maker = _Maker(random.Random(seed), now, villages)  # noqa: S311 - nothing secret comes of it
    drawn = [maker.elder(number) for number in range(count)]
    given = {one.id: maker.consents(one) for one in drawn}
    # Who gives the consents is registered in the same visit.
    elders = [replace(one, registered_at=given[one.id][0].given_at) for one in drawn]
    for start in range(0, count, _BATCH):
        await store.insert(tx, cipher, elders[start : start + _BATCH], now, by=None)
    await consents.add(tx, [(key, one) for key, many in given.items() for one in many], by=None)
    await _surroundings(tx, maker, elders, now - _LATEST)
    await audit.record(
        tx,
        actor=SYSTEM,
        action="elder.seeded",
        subject_type="elder",
        subject_id="",
        division="",
        detail={"count": count},
        now=now,
    )
    return [
        SeededElder(e.id, e.draft.name, e.draft.lat or 0, e.draft.lon or 0, e.draft.division_code)
        for e in elders
    ]


async def _surroundings(tx: Tx, maker: "_Maker", elders: Sequence[NewElder], now: datetime) -> None:
    limits = [(one.id, limit) for one in elders for limit in maker.thresholds(one)]
    await watching.put_thresholds(tx, limits, now)
    for one in elders:
        watch = maker.watch(one)
        if watch is not None:
            await watching.replace_watch(tx, one.id, watch, now)
        for at, text in maker.notes(one.registered_at or now):
            await store.add_note(tx, one.id, text, at, None)


class _Maker:
    """Draws one person after the other from one source of chance."""

    def __init__(self, rng: random.Random, now: datetime, villages: dict[str, list[str]]) -> None:
        self._rng = rng
        self._now = now
        self._villages = villages
        self._numbers: set[str] = set()

    def _id(self) -> uuid.UUID:
        # UUIDv7 (RFC 9562), its random part drawn from the seed.
        stamp = int(self._now.timestamp() * 1000) & (1 << 48) - 1
        value = stamp << 80 | 7 << 76 | self._rng.getrandbits(12) << 64
        return uuid.UUID(int=value | 2 << 62 | self._rng.getrandbits(62))

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def elder(self, number: int) -> NewElder:
        """Return the next person; homes go around the townships in turn."""
        rng = self._rng
        # In steps of seven, so that also a few elders are spread over the whole city.
        town = TOWNSHIPS[number * 7 % len(TOWNSHIPS)]
        sex = Sex.FEMALE if self._chance(0.56) else Sex.MALE
        name, surname, mongol = self._name(sex)
        born = self._birth_date()
        living = self._living()
        lat, lon = self._position(town)
        risky = self._chance(0.6)
        draft = Draft(
            name=name,
            division_code=rng.choice(self._villages[town.code] or [town.code]),
            sex=sex,
            birth_date=born,
            id_number=self._id_number(born, sex),
            address=self._address(town),
            lat=lat,
            lon=lon,
            living_situation=living,
            risk_notes=rng.choice(words.RISKS) if risky else "",
            medical_notes=rng.choice(words.MEDICAL) if risky and self._chance(0.8) else "",
            access_notes=self._access() if self._chance(0.5) else "",
            languages=self._languages(mongol),
            phones=self._phones(),
        )
        contacts = self._contacts(draft, surname, mongol, living)
        return NewElder(self._id(), draft, contacts)

    def _name(self, sex: Sex) -> tuple[str, str, bool]:
        rng = self._rng
        if self._chance(0.14):
            names = words.MONGOL_FEMALE if sex is Sex.FEMALE else words.MONGOL_MALE
            return rng.choice(names), "", True
        rare = self._chance(0.05)
        surname = rng.choice(words.RARE_SURNAMES) if rare else rng.choice(words.SURNAMES)
        given = rng.choice(words.GIVEN_FEMALE if sex is Sex.FEMALE else words.GIVEN_MALE)
        return surname + given, surname, False

    def _birth_date(self) -> date:
        age = min(103, max(61, round(self._rng.gauss(78, 8))))
        return years_before(local_date(self._now), age) - timedelta(days=self._rng.randrange(364))

    def _id_number(self, born: date, sex: Sex) -> str:
        while True:
            county = self._rng.choice(("150102", "150103", "150104", "150105", "150121", "150122"))
            sequence = self._rng.randrange(1, 500) * 2 - (1 if sex is Sex.MALE else 0)
            digits = f"{county}{born:%Y%m%d}{sequence % 1000:03d}"
            if digits not in self._numbers:
                self._numbers.add(digits)
                return digits + check_character(digits)

    def _living(self) -> LivingSituation:
        kinds = list(LivingSituation)
        return self._rng.choices(kinds, weights=[38, 30, 20, 6, 3, 3])[0]

    def _position(self, town: Township) -> tuple[float, float]:
        distance = town.spread_m * sqrt(self._rng.random())
        angle = self._rng.uniform(0, 2 * pi)
        lat = town.lat + distance * cos(angle) / _METRES_PER_DEGREE
        lon = town.lon + distance * sin(angle) / (_METRES_PER_DEGREE * cos(radians(town.lat)))
        return round(lat, 6), round(lon, 6)

    def _address(self, town: Township) -> str:
        rng = self._rng
        estate = rng.choice(town.estates)
        if estate.endswith("村") and town.spread_m > 1000:
            return f"{estate}{rng.randint(1, 6)}组{rng.randint(1, 80)}号院"
        street = f"{rng.choice(town.streets)}{rng.randint(1, 220)}号"
        floor, door = rng.randint(1, 6), rng.randint(1, 3)
        return f"{street}{estate}{rng.randint(1, 32)}号楼{rng.randint(1, 5)}单元{floor}0{door}室"

    def _access(self) -> str:
        pin = f"{self._rng.randrange(10_000):04d}"
        return self._rng.choice(words.ACCESS).format(pin=pin, door=self._rng.randint(101, 603))

    def _languages(self, mongol: bool) -> tuple[str, ...]:
        if mongol:
            return ("蒙古语", "普通话") if self._chance(0.8) else ("蒙古语",)
        return ("普通话",) if self._chance(0.5) else ("晋语", "普通话")

    def _mobile(self) -> str:
        prefix = self._rng.choice(("134", "138", "139", "150", "151", "158", "182", "187", "188"))
        return prefix + f"{self._rng.randrange(10**8):08d}"

    def _phones(self) -> tuple[Phone, ...]:
        phones = [Phone(self._mobile(), "手机", self._id())]
        if self._chance(0.3):
            phones.append(Phone(f"0471{self._rng.randrange(2_000_000, 7_000_000)}", "家里座机",
                                self._id()))  # fmt: skip
        return tuple(phones)

    def _contacts(
        self, elder: Draft, surname: str, mongol: bool, living: LivingSituation
    ) -> tuple[Contact, ...]:
        rng, sex = self._rng, elder.sex
        people: list[tuple[str, Relation]] = []
        if living is LivingSituation.COUPLE:
            other = Sex.MALE if sex is Sex.FEMALE else Sex.FEMALE
            people.append((self._name(other)[0], Relation.SPOUSE))
        for _ in range(rng.choice((1, 1, 2))):
            relation = rng.choice((Relation.SON, Relation.DAUGHTER))
            family = surname if surname and sex is Sex.MALE else rng.choice(words.SURNAMES)
            taken = {elder.name, *(name for name, _ in people)}
            people.append((self._child(relation, "" if mongol else family, taken), relation))
        if self._chance(0.4):
            people.append((self._name(Sex.FEMALE)[0], Relation.NEIGHBOUR))
        if self._chance(0.25):
            people.append((self._name(Sex.FEMALE)[0], Relation.COMMUNITY))
        return tuple(
            Contact(name, relation, self._mobile(), self._chance(0.5), "", self._id())
            for name, relation in people
        )

    def _child(self, relation: Relation, family: str, taken: set[str]) -> str:
        """Return a name for a son or a daughter that nobody else of the family has."""
        son = relation is Relation.SON
        if family:
            given = words.GIVEN_SON if son else words.GIVEN_DAUGHTER
        else:
            given = words.MONGOL_MALE if son else words.MONGOL_FEMALE
        return self._rng.choice([name for one in given if (name := family + one) not in taken])

    def consents(self, elder: NewElder) -> list[Consent]:
        """Return what was agreed to: most people agreed to most things."""
        at = self._visit(self._now - _LATEST - timedelta(days=self._rng.randrange(20, 700)), elder)
        agreed = [ConsentPurpose.SERVICE, ConsentPurpose.MONITORING]
        others = (ConsentPurpose.HEALTH_DATA, ConsentPurpose.LOCATION,
                  ConsentPurpose.CALL_RECORDING)  # fmt: skip
        agreed += [one for one in others if self._chance(0.7)]
        given_by = elder.draft.name
        return [
            Consent(self._id(), purpose.value, f"{at.year - 1}-06", given_by, at, None, None)
            for purpose in agreed
        ]

    def _visit(self, day: datetime, elder: NewElder) -> datetime:
        """Return a moment of a working day in China, between nine and half past four."""
        nine = day.replace(hour=1, minute=0, second=0, microsecond=0)
        return nine + timedelta(minutes=elder.id.int % 450)

    def thresholds(self, elder: NewElder) -> list[Threshold]:
        """Return own limits of the few who have some by their doctor's word."""
        limits: list[Threshold] = []
        if "慢阻肺" in elder.draft.risk_notes:
            limits.append(Threshold("spo2", low_critical=82, low_major=87))
        if "冠心病" in elder.draft.risk_notes or "高血压" in elder.draft.risk_notes:
            limits.append(Threshold("heart_rate", 45, 55, 110, 130))
            limits.append(Threshold("bp_systolic", 85, 95, 165, 185))
        return limits

    def watch(self, elder: NewElder) -> Watch | None:
        """Return watch settings for who walks away and for some who live alone."""
        if "走失" in elder.draft.risk_notes:
            return Watch(fence_lat=elder.draft.lat, fence_lon=elder.draft.lon, fence_radius_m=800)
        if elder.draft.living_situation is LivingSituation.ALONE and self._chance(0.3):
            return Watch(inactivity_day_min=240, inactivity_night_min=600)
        return None

    def notes(self, since: datetime) -> list[tuple[datetime, str]]:
        """Return what colleagues wrote since the elder was registered."""
        many = self._rng.choices((0, 1, 2), weights=(6, 3, 1))[0]
        days = sorted(self._rng.sample(range(1, 200), many), reverse=True)
        written = [(self._now - timedelta(days=day), self._rng.choice(words.NOTES)) for day in days]
        return [(at, text) for at, text in written if at > since]
