"""Use cases of responders: register, duty, position, and suggestions for an incident."""

import math
import uuid
from collections.abc import Sequence
from datetime import datetime

from hotline.contacts.model import PHONE
from hotline.incidents.model import Incident
from hotline.responders import rules, store
from hotline.responders.model import Skill, Suggestion
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import Invalid
from kernel.phones import phone_of


async def add(
    tx: Tx,
    cipher: FieldCipher,
    *,
    name: str,
    phone: str,
    skills: Sequence[Skill],
    division_code: str,
    station: str,
    on_duty: bool,
    now: datetime,
    user_id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Register a responder and return the id. Raises Invalid for a number without digits."""
    number = phone_of(phone)
    if len(number) < 3:
        raise Invalid("this is not a phone number", {"phone": "too short"})
    return await store.insert(
        tx,
        name=name,
        phone_enc=cipher.encrypt(PHONE, number),
        phone_index=cipher.blind_index(PHONE, number),
        skills=skills,
        division_code=division_code,
        station=station,
        on_duty=on_duty,
        now=now,
        user_id=user_id,
    )


async def suggestions(tx: Tx, incident: Incident, now: datetime) -> list[Suggestion]:
    """Return who could be sent, best first, with the reasons. The place is the incident's last
    position, else the elder's home.
    """
    position = await _place(tx, incident)
    found = await store.candidates(tx, incident.id, rules.city_of(incident.division_code))
    return rules.suggest(found, incident.kind, incident.division_code, position, now)


async def report_position(
    tx: Tx, responder_id: uuid.UUID, lat: float, lon: float, accuracy_m: float | None, now: datetime
) -> bool:
    """Keep where a responder is. Raises Invalid for what is not on the earth."""
    on_earth = math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180
    if not on_earth:
        raise Invalid("this is not a position", {"lat": "-90 to 90", "lon": "-180 to 180"})
    if accuracy_m is not None and not (math.isfinite(accuracy_m) and accuracy_m >= 0):
        accuracy_m = None
    return await store.save_position(tx, responder_id, lat, lon, accuracy_m, now)


async def _place(tx: Tx, incident: Incident) -> tuple[float, float] | None:
    if incident.lat is not None and incident.lon is not None:
        return incident.lat, incident.lon
    if incident.elder_id is None:
        return None
    return await store.home(tx, incident.elder_id)
