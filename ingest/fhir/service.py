"""Reading by FHIR: who may see what, and that it is in the audit log."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from care.elders import service as elders
from care.elders import store as elder_store
from care.elders.summary import thresholds_for
from care.watching.model import Threshold
from ingest.detection.defaults import VITALS
from ingest.fhir import store
from ingest.fhir.model import DeviceSearch, Key, Measured, ObservationSearch, Reader, Resource
from ingest.fhir.observations import LimitsOf, observation
from ingest.fhir.resources import device
from kernel import audit
from kernel.db import Tx
from kernel.errors import Forbidden, NotFound

Page = tuple[list[Resource], str | None]
"""Resources, and where the next page begins; None at the end."""


async def find_observations(
    tx: Tx, reader: Reader, search: ObservationSearch, now: datetime
) -> Page:
    """Return a page of an elder's observations. Raises NotFound, Forbidden."""
    _may(reader.observations)
    await _note_elder(tx, reader, search.patient, now, count=search.count)
    found = await store.observations(tx, search, search.count + 1)
    page = found[: search.count]
    following = page[-1].key.id if len(found) > search.count else None
    return await _mapped(tx, page), following


async def one_observation(tx: Tx, reader: Reader, text: str, now: datetime) -> Resource:
    """Return an observation by its id. Raises NotFound, Forbidden."""
    _may(reader.observations)
    key = Key.parse(text)
    found = await store.observation(tx, key) if key else None
    if found is None:
        raise NotFound("There is no such Observation.")
    await _note_elder(tx, reader, found.elder_id, now, count=1)
    return (await _mapped(tx, [found]))[0]


async def find_devices(tx: Tx, reader: Reader, search: DeviceSearch, now: datetime) -> Page:
    """Return a page of the devices in the reader's division. Raises Forbidden."""
    _may(reader.devices)
    found = await store.devices(tx, search, reader.actor.division, search.count + 1)
    page = found[: search.count]
    await _note_devices(tx, reader, "*", now, count=len(page))
    following = str(page[-1].no) if len(found) > search.count else None
    return [device(row) for row in page], following


async def one_device(tx: Tx, reader: Reader, text: str, now: datetime) -> Resource:
    """Return a device by its number. Raises NotFound, Forbidden."""
    _may(reader.devices)
    known = text.isdecimal() and len(text) <= 18
    row = await store.device(tx, int(text), reader.actor.division) if known else None
    if row is None:
        raise NotFound("There is no such Device.")
    await _note_devices(tx, reader, row.id, now, count=1)
    return device(row)


def _may(permitted: bool) -> None:
    if not permitted:
        raise Forbidden("Your roles do not permit this.")


async def _mapped(tx: Tx, found: Sequence[Measured]) -> list[Resource]:
    limits: dict[uuid.UUID, LimitsOf] = {}
    for elder_id in {one.elder_id for one in found}:
        own = {each.metric: each for each in await thresholds_for(tx, [elder_id])}
        limits[elder_id] = _limits_of(own)
    return [observation(one, limits[one.elder_id]) for one in found]


def _limits_of(own: Mapping[str, Threshold]) -> LimitsOf:
    def of(code: str) -> Threshold | None:
        if code in own:
            return own[code]
        rule = VITALS.get(code)
        if rule is None:
            return None
        limits = rule.limits
        return Threshold(
            code, limits.low_critical, limits.low_major, limits.high_major, limits.high_critical
        )

    return of


async def _note_elder(
    tx: Tx, reader: Reader, elder_id: uuid.UUID, now: datetime, *, count: int
) -> None:
    division = await elder_store.division_of(tx, elder_id)
    if division is None or not reader.actor.covers(division):
        raise NotFound("There is no such Patient.")
    detail = {"part": "fhir.Observation", "count": count}
    await elders.write_audit(
        tx, reader.actor, "elder.read", elder_id, division=division, now=now, detail=detail
    )


async def _note_devices(
    tx: Tx, reader: Reader, device_id: str, now: datetime, *, count: int
) -> None:
    await audit.record(
        tx,
        actor=reader.actor,
        action="device.viewed",
        subject_type="device",
        subject_id=device_id,
        division=reader.actor.division,
        detail={"part": "fhir.Device", "count": count},
        now=now,
    )
