"""Fills a fresh database with the demonstration: people, elders, homes, devices, responders."""

import importlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from app.demo.fleet import PlannedDevice, plan_fleet
from app.demo.fleet_history import seed_fleet_history
from app.demo.history import DAYS, seed_history
from app.secrets import write_private
from care.elders.demo import SeededElder, seed_elders
from devices.credentials import service as credentials
from devices.registry import access
from devices.registry import service as registry
from hotline.demo import seed_responders
from kernel.auth import users as auth
from kernel.auth.model import SYSTEM, Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx, fetch_value

CITY = "1501"
SEED = 20260305
INSTALLED = timedelta(days=40)
MORE_HOMES = 3
"""Homes of what app/demo/examples.py shows."""
ON_DUTY = (Role.OPERATOR, Role.SUPERVISOR)


@dataclass(frozen=True, slots=True)
class Account:
    """A demonstration account with its password, which lies in a private file beside the data."""

    username: str
    name: str
    role: str
    division: str
    password: str


ACCOUNTS: tuple[tuple[str, str, tuple[Role, ...], str], ...] = (
    ("wangfang", "王芳", (Role.OPERATOR,), CITY),
    ("zhaomin", "赵敏", (Role.OPERATOR,), CITY),
    ("lijianguo", "李建国", (Role.SUPERVISOR,), CITY),
    ("batu", "巴图", (Role.DEVICE_TECHNICIAN,), CITY),
    ("sunli", "孙丽", (Role.CARE_MANAGER,), CITY),
    ("admin", "系统管理员", (Role.ADMINISTRATOR,), ""),
    ("audit", "审计员", (Role.AUDITOR,), ""),
)


async def seed_demo(
    db: Database,
    cipher: FieldCipher,
    data_dir: Path,
    devices: int,
    now: datetime,
    *,
    past: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Account]:
    """Fill the database once; a second call only reads the accounts again.

    With `past` the watches have readings of the last days, the fleet was looked after, and there is
    an example of whatever its pages show. Writes `devices.json` (what the simulator logs in with)
    and `accounts.json`, both mode 0600.
    """
    accounts_file = data_dir / "accounts.json"
    async with db.transaction() as tx:
        seeded = await fetch_value(
            tx, "SELECT count(*) FROM user_account WHERE username = 'wangfang'"
        )
        if seeded and accounts_file.exists():
            return [Account(**entry) for entry in json.loads(accounts_file.read_text("utf-8"))]
        since = now - INSTALLED
        progress("演示账号 · accounts of the demonstration")
        accounts, people = await _accounts(tx, since, now)
        planned = plan_fleet(devices)
        homes = max(p.home for p in planned) + 1
        progress(f"演示老人档案 · records of {homes} elders, with the people who can be sent")
        elders = await seed_elders(tx, cipher, homes + (MORE_HOMES if past else 0), now, SEED)
        await seed_responders(tx, cipher, since, now)
        progress(f"演示设备 · {devices} devices, each with a password of its own")
        entries = [await _device(tx, cipher, p, elders[p.home], since) for p in planned]
    if past:
        await _past(db, now, progress)
        # Loaded only now: it brings the whole of ingest, which a second start does not need.
        examples = importlib.import_module("app.demo.examples")
        entries += await examples.seed_examples(
            db, cipher, data_dir, elders[homes:], planned, people["batu"], now
        )
        tested = examples.in_test(planned)
        entries = [e | {"in_test": True} if e["device_id"] in tested else e for e in entries]
    _keep(data_dir / "devices.json", entries)
    _keep(accounts_file, [asdict(account) for account in accounts])
    return accounts


def _keep(file: Path, entries: list[dict[str, object]]) -> None:
    write_private(file, json.dumps(entries, ensure_ascii=False, indent=1))


async def _past(db: Database, now: datetime, progress: Callable[[str], None]) -> None:
    progress(f"最近 {DAYS} 天的体征 · readings of the last {DAYS} days")
    await seed_history(db, now, SEED)
    progress("设备运行记录 · four weeks of tests and outages of the devices")
    await seed_fleet_history(db, now, SEED)
    progress("设备管理示例 · a silent device, a gateway, a roll-out and other examples")


async def _accounts(
    tx: Tx, since: datetime, now: datetime
) -> tuple[list[Account], Mapping[str, Actor]]:
    accounts, people = [], {}
    for username, name, roles, division in ACCOUNTS:
        password = f"{username[:4]}-{secrets.token_hex(4)}"
        user = await auth.create_user(
            tx,
            username=username,
            display_name=name,
            roles=frozenset(roles),
            division=division,
            password=password,
            must_change_password=False,
            actor=SYSTEM,
            now=since,
        )
        people[username] = user.as_actor()
        if roles[0] in ON_DUTY:
            await auth.set_on_duty(tx, SYSTEM, user.id, True, now)
        accounts.append(Account(username, name, roles[0].value, division, password))
    return accounts, people


async def _device(
    tx: Tx, cipher: FieldCipher, planned: PlannedDevice, elder: SeededElder, now: datetime
) -> dict[str, object]:
    device = await registry.register(
        tx,
        device_id=planned.device_id,
        profile=planned.profile,
        division_code=elder.division_code,
        actor=SYSTEM,
        now=now,
    )
    if planned.imei:
        await access.add_alias(tx, device.no, "setracker", planned.imei, actor=SYSTEM, now=now)
    await registry.bind(tx, device.no, elder.id, planned.room, actor=SYSTEM, now=now)
    secret = await credentials.issue(tx, device.no, cipher=cipher, now=now)
    return {
        "device_id": planned.device_id,
        "username": secret.username,
        "password": secret.password,
        "profile": planned.profile,
        "type": planned.type,
        "imei": planned.imei,
        "lat": elder.lat,
        "lon": elder.lon,
    }
