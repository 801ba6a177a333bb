"""The registry in memory: which device an address is, and how its elder is watched over.

Bounded, and invalidated by NOTIFY on channel `registry` (triggers in migrations/0003 and 0004), so
that a binding counts from the next message on. The time to live is the second line: it holds when a
notification is lost, and is short while nobody listens.
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from devices.registry import store as registry
from devices.registry.model import Address, DeviceContext
from ingest.detection import store as detection
from ingest.detection.model import NO_WATCH, ElderWatch
from ingest.vitals.model import Speaker
from ingest.vitals.rules import CODEC, plain_from
from kernel.clock import monotonic
from kernel.db import TRANSIENT_ERRORS, Database

log = structlog.get_logger(__name__)
CHANNEL = "registry"
TTL_SECONDS = 300.0
DEAF_TTL_SECONDS = 2.0
UNKNOWN_TTL_SECONDS = 30.0

_GONE: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, OSError)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    value: V
    at: float


class _Table(Generic[K, V]):
    """A bounded dictionary with the time of each entry; the oldest are forgotten first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K, not_before: float) -> V | None:
        kept = self._kept.get(key)
        return kept.value if kept is not None and kept.at >= not_before else None

    def age(self, key: K) -> float:
        """When an entry was put in; the beginning of time for what is not there."""
        kept = self._kept.get(key)
        return kept.at if kept is not None else float("-inf")

    def put(self, key: K, value: V, at: float) -> tuple[K, V] | None:
        """Keep an entry; returns the one that was forgotten for it."""
        self._kept.pop(key, None)
        self._kept[key] = _Kept(value, at)
        if len(self._kept) <= self._size:
            return None
        oldest, kept = self._kept.popitem(last=False)
        return oldest, kept.value

    def drop(self, key: K) -> V | None:
        kept = self._kept.pop(key, None)
        return kept.value if kept else None

    def clear(self) -> None:
        self._kept.clear()


class RegistryCache:
    """Devices by address and watches by elder; what is not here is read from the database."""

    def __init__(self, db: Database, *, size: int = 200_000) -> None:
        self._db = db
        self._devices: _Table[Address, DeviceContext] = _Table(size)
        self._unknown: _Table[Address, bool] = _Table(size // 10)
        self._watches: _Table[uuid.UUID, ElderWatch] = _Table(size)
        # Which addresses a device no, a gateway no or an elder id stands behind.
        self._behind: dict[int | uuid.UUID, set[Address]] = {}
        self._changes = 0
        # Devices of our own protocol as vitals in columns need them; each is also in `_devices`,
        # and goes when that goes.
        self.speakers: dict[str, Speaker] = {}
        self.listening = asyncio.Event()

    async def listen(self) -> None:
        """Follow the notifications until cancelled; after a gap everything is read anew."""
        while True:
            try:
                async with self._db.dedicated() as conn:
                    await conn.execute("LISTEN registry")
                    self._forget_all()
                    self.listening.set()
                    async for notice in conn.notifies():
                        self.changed(notice.payload)
            except _GONE as error:
                log.warning("registry.listener_lost", error=type(error).__name__)
            self.listening.clear()
            self._forget_all()
            await asyncio.sleep(0.5)

    def changed(self, payload: str) -> None:
        """Forget what a notification says has changed: d:<no>, e:<elder id> or n (a new name)."""
        self._changes += 1
        kind, _, key = payload.partition(":")
        if kind == "n":
            self._unknown.clear()
        elif kind == "d" and key.isdigit():
            self._drop_behind(int(key))
        elif kind == "e":
            try:
                elder_id = uuid.UUID(key)
            except ValueError:
                return
            self._watches.drop(elder_id)
            self._drop_behind(elder_id)

    async def devices(self, addresses: Collection[Address]) -> dict[Address, DeviceContext]:
        """Return the devices behind addresses; what is missing in the result nobody knows.

        Raises what the database raises when it is away.
        """
        found: dict[Address, DeviceContext] = {}
        missing: list[Address] = []
        oldest, oldest_unknown = self._oldest(TTL_SECONDS), self._oldest(UNKNOWN_TTL_SECONDS)
        for address in addresses:
            context = self._devices.get(address, oldest)
            if context is not None:
                found[address] = context
            elif not self._unknown.get(address, oldest_unknown):
                missing.append(address)
        if missing:
            found |= await self._load_devices(missing)
        return found

    async def watches(self, elder_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ElderWatch]:
        """Return how elders are watched over. Raises what the database raises when it is away."""
        found: dict[uuid.UUID, ElderWatch] = {}
        missing: list[uuid.UUID] = []
        oldest = self._oldest(TTL_SECONDS)
        for elder_id in elder_ids:
            watch = self._watches.get(elder_id, oldest)
            if watch is None:
                missing.append(elder_id)
            else:
                found[elder_id] = watch
        if missing:
            before = self._changes
            async with self._db.connection() as conn:
                loaded = await detection.load_watches(conn, missing)
            if before == self._changes:
                for elder_id, watch in loaded.items():
                    self._watches.put(elder_id, watch, monotonic())
            found |= loaded
        return found

    async def introduce(self, names: Collection[str]) -> bool:
        """Get to know who speaks our protocol under these addresses; False when that is nobody.

        Raises what the database raises when it is away.
        """
        before = self._changes
        devices = await self.devices([Address(CODEC, name) for name in names])
        watches = await self.watches({each.elder_id for each in devices.values() if each.elder_id})
        if before != self._changes:
            return False
        for address, device in devices.items():
            watch, at = NO_WATCH, self._devices.age(address)
            if device.elder_id is not None:
                watch, at = watches[device.elder_id], min(at, self._watches.age(device.elder_id))
            self.speakers[address.address] = Speaker(device, watch, at, plain_from(device))
        return bool(devices)

    @property
    def oldest(self) -> float:
        """What was learned of a device before this moment (monotonic, s) is to be asked again."""
        return self._oldest(TTL_SECONDS)

    async def _load_devices(self, missing: list[Address]) -> dict[Address, DeviceContext]:
        before = self._changes
        async with self._db.connection() as conn:
            loaded = await registry.resolve(conn, missing)
        # What changed while it was read may be read in its old form: used once, not kept.
        if before == self._changes:
            for address in missing:
                context = loaded.get(address)
                if context is None:
                    self._unknown.put(address, True, monotonic())
                else:
                    self._keep(address, context)
        return loaded

    def _keep(self, address: Address, context: DeviceContext) -> None:
        self._forget(address)
        forgotten = self._devices.put(address, context, monotonic())
        for key in _stands_behind(context):
            self._behind.setdefault(key, set()).add(address)
        if forgotten is not None:
            self._unlink(*forgotten)

    def _forget(self, address: Address) -> None:
        context = self._devices.drop(address)
        if context is not None:
            self._unlink(address, context)

    def _unlink(self, address: Address, context: DeviceContext) -> None:
        if address.codec == CODEC:
            self.speakers.pop(address.address, None)
        for key in _stands_behind(context):
            addresses = self._behind.get(key, set())
            addresses.discard(address)
            if not addresses:
                self._behind.pop(key, None)

    def _drop_behind(self, key: int | uuid.UUID) -> None:
        for address in list(self._behind.get(key, ())):
            self._forget(address)

    def _forget_all(self) -> None:
        self._changes += 1
        self._devices.clear()
        self._unknown.clear()
        self._watches.clear()
        self._behind.clear()
        self.speakers.clear()

    def _oldest(self, ttl: float) -> float:
        return monotonic() - (ttl if self.listening.is_set() else DEAF_TTL_SECONDS)


def _stands_behind(context: DeviceContext) -> tuple[int | uuid.UUID, ...]:
    keys: list[int | uuid.UUID] = [context.no]
    if context.gateway_no is not None:
        keys.append(context.gateway_no)
    if context.elder_id is not None:
        keys.append(context.elder_id)
    return tuple(keys)
