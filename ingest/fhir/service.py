"""Reading by FHIR: who may see what, and that it is in the audit log."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from care.elders import service as elders
from care.elders import store as elder_store
from care.elders.summary import thresholds_for
from care.watching.model import Threshold
from ingest.detection.defaults import VITALS
from ingest.fhir import store
from ingest.fhir.model import (
    DeviceSearch,
    Key,
    Measured,
    ObservationSearch,
    Page,
    Reader,
    Resource,
)
from ingest.fhir.observations import LimitsOf, observation
from ingest.fhir.resources import device, patient
from kernel import audit
from kernel.db import Tx
from kernel.errors import Forbidden, NotFound


async def find_observations(
    tx: Tx, reader: Reader, search: ObservationSearch, now: datetime
) -> Page:
    """Return a page of an elder's observations. Raises NotFound, Forbidden."""
    _may(reader.observations)
    if search.keys is not None:
        page, following = await _known(tx, reader, search, search.keys, now), None
    elif search.patient is not None:
        await _note_elder(tx, reader, search.patient, now, count=search.count)
        found = await store.observations(tx, search, search.count + 1)
        page = found[: search.count]
        following = page[-1].key.id if len(found) > search.count else None
    else:
        page, following = [], None
    people = {one.elder_id for one in page} if "Patient" in search.include else set()
    devices = {one.device_no for one in page} if "Device" in search.include else set()
    along = await _along(tx, reader, people, devices, now)
    return Page(await _mapped(tx, page), along, following)


async def _known(
    tx: Tx, reader: Reader, search: ObservationSearch, keys: Sequence[Key], now: datetime
) -> list[Measured]:
    """Those of known ids that match and may be seen; what may not is not there."""
    rows = [row for key in keys if (row := await store.observation(tx, key)) is not None]
    found = [row for row in rows if search.matches(row)]
    elders = [one for one in {row.elder_id for row in found} if await _covers(tx, reader, one)]
    for elder_id in elders:
        count = sum(row.elder_id == elder_id for row in found)
        await _note_elder(tx, reader, elder_id, now, count=count)
    return sorted(
        (row for row in found if row.elder_id in elders),
        key=lambda row: row.key,
        reverse=search.newest_first,
    )


async def one_observation(tx: Tx, reader: Reader, text: str, now: datetime) -> Resource:
    """Return an observation by its id. Raises NotFound, Forbidden."""
    _may(reader.observations)
    key = Key.parse(text)
    found = await store.observation(tx, key) if key else None
    # Whoever may not see it does not hear that it is there.
    if found is None or not await _covers(tx, reader, found.elder_id):
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
    people = {one.elder_id for one in page if one.elder_id} if "Patient" in search.include else ()
    along = await _along(tx, reader, people, (), now) if reader.observations else []
    return Page([device(row) for row in page], along, following)


async def one_device(tx: Tx, reader: Reader, text: str, now: datetime) -> Resource:
    """Return a device by its number. Raises NotFound, Forbidden."""
    _may(reader.devices)
    known = text.isdecimal() and len(text) <= 18
    row = await store.device(tx, int(text), reader.actor.division) if known else None
    if row is None:
        raise NotFound("There is no such Device.")
    await _note_devices(tx, reader, row.id, now, count=1)
    return device(row)


async def one_patient(tx: Tx, reader: Reader, text: str, now: datetime) -> Resource:
    """Return an elder by the id. Raises NotFound, Forbidden."""
    try:
        wanted = [uuid.UUID(text)]
    except ValueError:
        wanted = []
    found = await find_patients(tx, reader, wanted, now)
    if not found:
        raise NotFound("There is no such Patient.")
    return found[0]


async def find_patients(
    tx: Tx, reader: Reader, wanted: Iterable[uuid.UUID], now: datetime
) -> list[Resource]:
    """Return those of the elders that lie in the reader's division. Raises Forbidden."""
    _may(reader.observations)
    found = []
    for elder_id in wanted:
        if await _covers(tx, reader, elder_id):
            row = await store.patient(tx, elder_id)
            await _note_elder(tx, reader, elder_id, now, count=1, part="fhir.Patient")
            found += [patient(row, full=reader.names)] if row else []
    return found


async def _along(
    tx: Tx, reader: Reader, people: Iterable[uuid.UUID], devices: Iterable[int], now: datetime
) -> list[Resource]:
    """What a page refers to and was asked for with it, as far as the reader may see it."""
    along = await find_patients(tx, reader, sorted(people), now) if people else []
    numbers = tuple(sorted(devices))
    if numbers and reader.devices:
        search = DeviceSearch(numbers, count=len(numbers))
        rows = await store.devices(tx, search, reader.actor.division, len(numbers))
        await _note_devices(tx, reader, "*", now, count=len(rows))
        along += [device(row) for row in rows]
    return along


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


async def _covers(tx: Tx, reader: Reader, elder_id: uuid.UUID) -> bool:
    division = await elder_store.division_of(tx, elder_id)
    return division is not None and reader.actor.covers(division)


async def _note_elder(
    tx: Tx,
    reader: Reader,
    elder_id: uuid.UUID,
    now: datetime,
    *,
    count: int,
    part: str = "fhir.Observation",
) -> None:
    division = await elder_store.division_of(tx, elder_id)
    if division is None or not reader.actor.covers(division):
        raise NotFound("There is no such Patient.")
    detail = {"part": part, "count": count}
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
