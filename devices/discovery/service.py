"""Use cases of adoption: noting what is announced, the list, adopting, ignoring, telling ingest."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

import structlog

from devices.codecs.homeassistant.codec import ADOPTED, Adopted, address
from devices.codecs.homeassistant.config import entity_of
from devices.discovery import rules, store
from devices.discovery.model import Found, FoundPage, FoundRow, entities_of
from devices.messages import Proposal
from devices.profiles import PROFILES, DeviceType, Profile
from devices.registry import guard
from devices.registry import service as registry
from devices.registry.model import Device
from kernel.auth.model import Actor
from kernel.db import TRANSIENT_ERRORS, Database, Tx
from kernel.errors import Conflict, Invalid, NotFound

log = structlog.get_logger(__name__)
CODEC = "homeassistant"
STATUSES = ("open", "adopted", "ignored")
MOST_DEVICES = 2_000
"""Most found devices of one installation; the rest is left out, a home has some dozens."""
_SETTLE_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_GONE: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, OSError)


def models() -> list[Profile]:
    """Return the models that a found device can be adopted as."""
    return [
        each
        for each in PROFILES.values()
        if each.codec == CODEC and each.type is not DeviceType.GATEWAY
    ]


async def note(tx: Tx, proposals: Iterable[Proposal], now: datetime) -> None:
    """Keep what installations announced; those that are not registered announce nothing."""
    every = tuple(proposals)
    if not every:
        return
    installations = [
        code
        for code, each in PROFILES.items()
        if each.codec == CODEC and each.type is DeviceType.GATEWAY
    ]
    numbers = await store.gateway_numbers(tx, [each.gateway for each in every], installations)
    for each in every:
        no = numbers.get(each.gateway)
        if no is None:
            continue
        if each.entity is None:
            await store.drop_entities(tx, no, each.key)
            continue
        words = (each.name, each.manufacturer, each.model)
        if await store.keep_device(tx, no, each.device, words, MOST_DEVICES, now):
            await store.keep_entity(tx, no, each.key, each.device, each.entity, now)


async def find(tx: Tx, actor: Actor, status: str, page: int, per_page: int) -> FoundPage:
    """Return one page of what was found in the actor's division."""
    total = await store.total(tx, actor.division, status)
    rows = await store.page(tx, actor.division, status, per_page, (page - 1) * per_page)
    return FoundPage(tuple(_found(row) for row in rows), total)


async def get(tx: Tx, gateway_id: str, key: str, actor: Actor) -> Found:
    """Return one found device. Raises NotFound."""
    return _found(await _row(tx, gateway_id, key, actor))


async def _row(tx: Tx, gateway_id: str, key: str, actor: Actor) -> FoundRow:
    row = await store.get(tx, gateway_id, key)
    if row is None or not actor.covers(row.division_code):
        raise NotFound("There is no such found device.", gateway_id=gateway_id)
    return row


def _found(row: FoundRow) -> Found:
    entities = entities_of(row)
    return Found(
        gateway_id=row.gateway_id,
        key=row.key,
        name=row.name,
        manufacturer=row.manufacturer,
        model=row.model,
        found_at=row.found_at,
        ignored=row.ignored_at is not None,
        device_id=row.device_id,
        entities=entities,
        profile=rules.profile_for(entities),
        proposed_id=rules.id_for(row.gateway_id, row.key, row.name),
    )


async def adopt(
    tx: Tx, gateway_id: str, key: str, *, device_id: str, profile: str, actor: Actor, now: datetime
) -> Device:
    """Take a found device into the registry, behind its installation.

    Raises NotFound, Conflict when somebody else adopted it, Invalid as `registry.register` does
    (device_id: form, taken; profile: unknown).
    """
    row = await _row(tx, gateway_id, key, actor)
    if row.device_id is not None:
        raise Conflict(f"It was adopted as {row.device_id}.", device_id=row.device_id)
    if profile not in {each.code for each in models()}:
        raise Invalid("A model of Home Assistant is needed.", {"profile": "unknown"})
    device = await registry.register(
        tx,
        device_id=device_id,
        profile=profile,
        division_code=row.division_code,
        gateway_id=gateway_id,
        address=address(gateway_id, key),
        actor=actor,
        now=now,
    )
    if not await store.set_adopted(tx, row.gateway_no, key, device.no):
        raise Conflict("Somebody else has just adopted it.", device_id=device_id)
    await guard.record(
        tx, actor, "device.adopted", device.id, device.division_code, now, gateway=gateway_id
    )
    return device


async def ignore(
    tx: Tx, gateway_id: str, key: str, *, ignored: bool, actor: Actor, now: datetime
) -> None:
    """Put a found device out of sight, or back. Raises NotFound and Conflict."""
    row = await _row(tx, gateway_id, key, actor)
    if not await store.set_ignored(tx, row.gateway_no, key, now if ignored else None):
        raise Conflict("Somebody else has just adopted it.", device_id=row.device_id or "")
    action = "device.find_ignored" if ignored else "device.find_restored"
    await guard.record(tx, actor, action, gateway_id, row.division_code, now, key=key)


async def refresh(db: Database) -> int:
    """Let the codec of this process know what is adopted; returns how many entities."""
    async with db.connection() as conn:
        rows = await store.adopted(conn)
    known: list[Adopted] = []
    for row in rows:
        try:
            known.append(Adopted(row.gateway_id, row.device_key, entity_of(row.entity)))
        except TypeError:
            log.warning("discovery.entity_unreadable", gateway=row.gateway_id)
    ADOPTED.replace(tuple(known))
    return len(known)


async def follow(db: Database, stop: asyncio.Event) -> None:
    """Keep the codec of this process up to date until `stop`; a gap is made up for."""
    following, stopping = asyncio.create_task(_follow(db)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
    finally:
        for task in (following, stopping):
            task.cancel()
        await asyncio.gather(following, stopping, return_exceptions=True)


async def _follow(db: Database) -> None:
    while True:
        try:
            async with db.dedicated() as conn:
                await conn.execute("LISTEN discovery")
                await refresh(db)
                async for _ in conn.notifies():
                    # An installation that starts announces some hundred entities at once.
                    await asyncio.sleep(_SETTLE_SECONDS)
                    await refresh(db)
        except _GONE as error:
            log.warning("discovery.listener_lost", error=type(error).__name__)
        await asyncio.sleep(_RETRY_SECONDS)
