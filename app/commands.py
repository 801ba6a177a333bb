"""What the smaller commands do: migrate, user add, audit verify."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.access_list import dynamic_security
from app.settings import Settings
from app.storage import telemetry_settings
from devices.credentials.dynsec import service_commands
from ingest.telemetry.modes import enable_extension, ensure_storage, probe
from kernel import audit
from kernel.auth import users as auth
from kernel.auth.model import SYSTEM, Role
from kernel.clock import utcnow
from kernel.db import Database, fetch_value
from kernel.divisions import load_divisions
from kernel.errors import Invalid
from kernel.migrate import migrate


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    db = await Database.open(url, max_size=3)
    try:
        yield db
    finally:
        await db.close()


async def migrate_database(settings: Settings) -> list[str]:
    """Apply what is missing, load the divisions, prepare the storage of readings."""
    applied = await migrate(settings.database_url)
    async with _database(settings.database_url) as db:
        async with db.transaction() as tx:
            await load_divisions(tx)
        await enable_extension(db)
        async with db.connection() as conn:
            mode = await probe(conn)
        await ensure_storage(db, mode, utcnow(), telemetry_settings(settings))
    broker = dynamic_security(settings)
    if broker is not None:
        mqtt = settings.mqtt
        await broker.send(service_commands(mqtt.username, mqtt.password.get_secret_value()))
    return applied


def _roles(names: list[str]) -> frozenset[Role]:
    try:
        return frozenset(Role(name) for name in names)
    except ValueError as error:
        known = ", ".join(role.value for role in Role)
        raise Invalid(f"{error}; the roles are: {known}") from error


async def add_user(
    settings: Settings,
    username: str,
    name: str,
    roles: list[str],
    division: str,
    password: str | None,
) -> str:
    """Add a person; return the password. Raises Invalid or Conflict with a sentence."""
    chosen = password if password is not None else first_password()
    async with _database(settings.database_url) as db, db.transaction() as tx:
        await auth.create_user(
            tx,
            username=username,
            display_name=name,
            roles=_roles(roles),
            division=division,
            password=chosen,
            must_change_password=password is None,
            actor=SYSTEM,
            now=utcnow(),
        )
    return chosen


def first_password() -> str:
    """Return a random first password of 16 characters."""
    return secrets.token_urlsafe(12)


async def ensure_administrator(database_url: str) -> str | None:
    """Make `admin` when nobody can log in yet; return its first password, else None."""
    async with _database(database_url) as db, db.transaction() as tx:
        if await fetch_value(tx, "SELECT count(*) FROM user_account"):
            return None
        password = first_password()
        await auth.create_user(
            tx,
            username="admin",
            display_name="系统管理员",
            roles=frozenset({Role.ADMINISTRATOR}),
            division="",
            password=password,
            must_change_password=True,
            actor=SYSTEM,
            now=utcnow(),
        )
    return password


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    """What `audit verify` says."""

    intact: bool
    text: str


async def verify_audit(settings: Settings) -> AuditAnswer:
    """Walk the chain of the audit log."""
    async with _database(settings.database_url) as db, db.transaction() as tx:
        result = await audit.verify(tx)
    if result.ok:
        return AuditAnswer(True, f"The audit log is intact: {result.checked} entries.")
    return AuditAnswer(
        False, f"The audit log is broken at entry {result.broken_seq}: {result.reason}"
    )
