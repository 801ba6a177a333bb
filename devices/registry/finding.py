"""Finding devices within one's own division: the list, its export, and all that is known of one."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from devices.credentials.model import CredentialRow
from devices.profiles import PROFILES, DeviceType
from devices.registry import access, guard, history_store, inventory
from devices.registry.history_store import Home
from devices.registry.model import (
    Address,
    AlarmRow,
    Binding,
    Change,
    Device,
    DeviceFilters,
    DeviceOrder,
    DevicePage,
    DeviceSort,
)
from kernel.auth.model import Actor
from kernel.db import Database, Tx

EXPORT_LIMIT = 200_000
WORKBOOK_LIMIT = 20_000
_EXPORT_CHUNK = 2_000
_RECENT_ALARMS = 10
_RECENT_CHANGES = 12


@dataclass(frozen=True, slots=True)
class Overview:
    """A device and what happened to it. `home` is where its elder lives, None where unknown."""

    device: Device
    home: Home | None
    bindings: list[Binding]
    aliases: list[Address]
    alarms: list[AlarmRow]
    changes: list[Change]
    credentials: list[CredentialRow]
    behind: list[Device]

    @property
    def credential(self) -> CredentialRow | None:
        """The credential that is live."""
        return next((each for each in self.credentials if each.revoked_at is None), None)

    @property
    def holder_since(self) -> datetime | None:
        """Since when the device is with whom it is now: what it measured before is another's."""
        if not self.bindings:
            return None
        last = self.bindings[0]
        return last.unbound_at or last.bound_at


async def search(
    tx: Tx, actor: Actor, filters: DeviceFilters, order: DeviceOrder, now: datetime
) -> DevicePage:
    """Return one page of the list and how many devices were found."""
    scope = actor.division
    found = await inventory.page(tx, filters, order, now, scope=scope)
    return DevicePage(tuple(found), await inventory.total(tx, filters, now, scope=scope))


async def export(
    tx: Tx,
    actor: Actor,
    filters: DeviceFilters,
    order: DeviceOrder,
    now: datetime,
    limit: int = EXPORT_LIMIT,
) -> list[int]:
    """Return the numbers of the list's devices for `exported`; audited, for it names elders."""
    every = replace(order, limit=limit)
    found = await inventory.numbers(tx, filters, every, now, scope=actor.division)
    await guard.record(tx, actor, "device.exported", "", actor.division, now, rows=len(found))
    return found


async def exported(db: Database, numbers: Sequence[int]) -> AsyncIterator[list[tuple[Device, str]]]:
    """Yield the devices of an export in parts, each with its name in its protocol (or none).

    Each part is a read of its own: a slow reader holds no connection.
    """
    for begin in range(0, len(numbers), _EXPORT_CHUNK):
        async with db.connection() as conn:
            rows = await inventory.of_numbers(conn, numbers[begin : begin + _EXPORT_CHUNK])
            names = await history_store.names_of(conn, [device.no for device in rows])
        yield [(device, names.get(device.no, "")) for device in rows]


async def overview(tx: Tx, device_id: str, actor: Actor, now: datetime) -> Overview:
    """Return all that is known of a device. Raises NotFound.

    Of a bound device it is an elder's data, so that looking at it is in the audit log.
    """
    device = await guard.find(tx, device_id, actor)
    if device.elder_id is not None:
        await guard.record(
            tx, actor, "device.viewed", device.id, device.division_code, now,
            elder_id=str(device.elder_id),
        )  # fmt: skip
    model = PROFILES.get(device.profile)
    is_gateway = model is not None and model.type is DeviceType.GATEWAY
    return Overview(
        device=device,
        home=await history_store.elder_home(tx, device.elder_id) if device.elder_id else None,
        bindings=await history_store.bindings(tx, device.no, actor.division),
        aliases=await history_store.aliases(tx, device.no),
        alarms=await history_store.alarms(tx, device.no, _RECENT_ALARMS),
        changes=await history_store.changes(tx, device.id, _RECENT_CHANGES),
        credentials=await access.credential_history(tx, device.no),
        behind=await inventory.behind(tx, device.no) if is_gateway else [],
    )


async def to_put_behind(tx: Tx, gateway: Device, actor: Actor, text: str) -> list[Device]:
    """Return devices that the gateway could speak for: those of its protocol, at most 20.

    Without a text, those of its own home and free ones alone; somebody else's must be asked for.
    """
    own = PROFILES.get(gateway.profile)
    models = [
        model.code for model in PROFILES.values() if own is not None and own.speaks_for(model)
    ]
    return await inventory.to_put_behind(tx, gateway, models, text, scope=actor.division, limit=20)


async def last_change(tx: Tx, device_id: str) -> Change | None:
    """Return what was last done with a device, to tell those who came too late."""
    found = await history_store.changes(tx, device_id, 1)
    return found[0] if found else None


async def gateways(tx: Tx, actor: Actor) -> list[Device]:
    """Return the gateways of the actor's division, to choose from."""
    models = [code for code, model in PROFILES.items() if model.type is DeviceType.GATEWAY]
    return await inventory.gateways(tx, models, actor.division)


def sort_of(name: str) -> DeviceSort:
    """Return the order of a column's name, that of ids for a name that is none."""
    return DeviceSort(name) if name in set(DeviceSort) else DeviceSort.ID
