"""`silverline doctor`: what is wrong with this installation and how to mend it."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import httpx
import psycopg

from app import installation
from app.embedded.children import EmbeddedError
from app.embedded.postgres import programs
from app.settings import Settings, load_settings
from care.elders import store as elder_store
from dashboards.ui.assets import Assets, AssetsMissing
from ingest.telemetry.status import storage_status
from kernel import audit
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_value
from kernel.errors import DomainError
from kernel.migrate import pending

Level = Literal["ok", "warning", "problem"]
FREE_DISK_BYTES = 2 * 1024**3
CLOCK_SKEW_SECONDS = 2.0
ROLLUP_LAG = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


async def examine() -> list[Finding]:
    """Look at everything that can be looked at; a check that fails does not end the others.

    Beside an installation of `up` or `demo` in this folder, that one is judged.
    """
    findings = [_embedded(), _assets()]
    try:
        settings = load_settings()
        found = installation.find(settings)
        if found is not None:
            settings = installation.of_embedded(settings, found.data_dir)
        cipher = settings.cipher()
        url = settings.database_url
    except DomainError as error:
        remedy = (
            "`silverline up` and `silverline demo` need none of this; for production see"
            " the configuration table of the README"
        )
        return [*findings, _disk(Path()), Finding("warning", "settings", error.message, remedy)]
    findings.append(_disk(settings.data_dir if found else Path()))
    if found is None:
        findings.append(Finding("ok", "settings", "complete"))
    elif not found.running:
        text = f"the installation in {found.data_dir} does not run"
        remedy = "start it (`silverline up`, or `silverline demo`) and ask again for the rest"
        return [*findings, Finding("warning", "installation", text, remedy)]
    else:
        findings.append(Finding("ok", "installation", f"the one in {found.data_dir}, which runs"))
        findings.append(await _pages(found))
    findings.append(await _broker(settings))
    return [*findings, *await _in_the_database(url, cipher)]


async def _in_the_database(url: str, cipher: FieldCipher) -> list[Finding]:
    try:
        db = await Database.open(url, max_size=2)
    except (psycopg.Error, OSError) as error:
        remedy = "check SILVERLINE_DATABASE__URL and that the server runs"
        text = f"no answer ({type(error).__name__})"
        return [Finding("problem", "database", text, remedy)]

    async def _key(db: Database) -> Finding:
        return await _master_key(db, cipher)

    try:
        looks = (_schema, _key, _storage, _clock, _outbox, _audit, _accounts)
        return [await _safely(look, db) for look in looks]
    finally:
        await db.close()


async def _safely(look: Callable[[Database], Awaitable[Finding]], db: Database) -> Finding:
    try:
        return await look(db)
    except psycopg.errors.UndefinedTable:
        subject = look.__name__.strip("_")
        return Finding("problem", subject, "its tables are missing", "run `silverline migrate`")


def _embedded() -> Finding:
    try:
        return Finding("ok", "embedded PostgreSQL", str(programs().parent.name))
    except EmbeddedError as error:
        return Finding("warning", "embedded PostgreSQL", error.message)


def _assets() -> Finding:
    try:
        Assets()
    except AssetsMissing as error:
        return Finding("problem", "pages", str(error), "run `make assets`")
    return Finding("ok", "pages", "scripts and styles are built")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1024**3:.1f} GiB free in {folder.resolve()}"
    if free < FREE_DISK_BYTES:
        return Finding("problem", "disk", text, "free some space: PostgreSQL stops on a full disk")
    return Finding("ok", "disk", text)


async def _pages(found: installation.Installation) -> Finding:
    addresses = installation.Addresses.read(found.data_dir)
    if addresses is None:
        return Finding("warning", "web", "is not up yet", "ask again when it has started")
    url = f"http://127.0.0.1:{addresses.web_port}"
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        text = f"{url} does not answer ({type(error).__name__})"
        return Finding("problem", "web", text, "see the terminal of `silverline up`")
    if answer.status_code != httpx.codes.OK:
        return Finding("problem", "web", f"{url} is not ready: {answer.text.strip()}")
    return Finding("ok", "web", f"{url} answers")


async def _broker(settings: Settings) -> Finding:
    address = f"{settings.mqtt.host}:{settings.mqtt.port}"
    try:
        async with asyncio.timeout(3):
            _, writer = await asyncio.open_connection(settings.mqtt.host, settings.mqtt.port)
    except (OSError, TimeoutError) as error:
        return Finding(
            "problem",
            "MQTT broker",
            f"{address} does not answer ({type(error).__name__})",
            "check SILVERLINE_MQTT__HOST and that the broker runs",
        )
    writer.close()
    return Finding("ok", "MQTT broker", f"{address} answers")


async def _schema(db: Database) -> Finding:
    async with db.connection() as conn:
        missing = await pending(conn)
    if missing:
        return Finding(
            "problem",
            "schema",
            f"{len(missing)} migrations are not applied",
            "run `silverline migrate`",
        )
    return Finding("ok", "schema", "up to date")


async def _master_key(db: Database, cipher: FieldCipher) -> Finding:
    async with db.connection() as conn:
        box = await elder_store.any_sealed_phone(conn)
    if box is None:
        return Finding("ok", "master key", "is set; nothing was encrypted with it yet")
    try:
        cipher.decrypt(elder_store.PHONE, box)
    except DomainError as error:
        remedy = "put back the key that this database was filled with (SILVERLINE_MASTER_KEY)"
        return Finding("problem", "master key", error.message, remedy)
    return Finding("ok", "master key", "opens the personal data of this database")


async def _storage(db: Database) -> Finding:
    async with db.connection() as conn:
        version = await fetch_value(conn, "SHOW server_version")
    found = await storage_status(db, utcnow())
    text = f"PostgreSQL {version}, readings in mode {found.mode.value}"
    if found.moving or found.mode is not found.possible:
        text += ", which is not yet what this database can do"
        return Finding("warning", "storage", text, "run `silverline storage adopt-timescale`")
    if found.lag is not None and found.lag > ROLLUP_LAG:
        text += f", rolled up until {str(found.lag).partition('.')[0]} ago"
        return Finding("warning", "storage", text, "see that a scheduler runs")
    return Finding("ok", "storage", text)


async def _clock(db: Database) -> Finding:
    async with db.connection() as conn:
        theirs = await fetch_value(conn, "SELECT clock_timestamp()")
    skew = abs((utcnow() - theirs).total_seconds())
    if skew > CLOCK_SKEW_SECONDS:
        return Finding(
            "problem",
            "clock",
            f"{skew:.1f} s between this machine and the database",
            "let both follow the same time server (chrony): deadlines depend on it",
        )
    return Finding("ok", "clock", "agrees with the database")


async def _outbox(db: Database) -> Finding:
    async with db.connection() as conn:
        dead = await fetch_value(conn, "SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL")
        late = await fetch_value(
            conn,
            "SELECT count(*) FROM outbox WHERE done_at IS NULL AND dead_at IS NULL"
            " AND available_at < now() - interval '5 minutes'",
        )
    if late:
        return Finding(
            "problem",
            "outbox",
            f"{late} effects have waited for more than five minutes",
            "is a `silverline worker` running? its log says why it fails",
        )
    if dead:
        return Finding("warning", "outbox", f"{dead} effects were given up; see table outbox")
    return Finding("ok", "outbox", "nothing waits")


async def _audit(db: Database) -> Finding:
    async with db.transaction() as tx:
        result = await audit.verify(tx)
    if not result.ok:
        return Finding(
            "problem",
            "audit log",
            f"broken at entry {result.broken_seq}: {result.reason}",
            "somebody changed it in the database; compare with a backup",
        )
    return Finding("ok", "audit log", f"intact, {result.checked} entries")


async def _accounts(db: Database) -> Finding:
    async with db.connection() as conn:
        administrators = await fetch_value(
            conn,
            "SELECT count(*) FROM user_account"
            " WHERE 'administrator' = ANY(roles) AND disabled_at IS NULL",
        )
    if not administrators:
        return Finding(
            "problem",
            "accounts",
            "there is no administrator",
            "run `silverline user add NAME --name … --role administrator`",
        )
    return Finding("ok", "accounts", f"{administrators} administrators")
