"""What the incidents' pages read across parts: positions of responders, colleagues on duty."""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from kernel.db import Tx, execute, fetch_all, fetch_value

DEMO_CHANNEL = "demo"


@dataclass(frozen=True, slots=True)
class Fix:
    """Where a responder was at `at`: WGS-84 degrees, accuracy in metres."""

    id: uuid.UUID
    name: str
    lat: float
    lon: float
    accuracy_m: float | None
    at: datetime


async def fixes(tx: Tx, responders: Collection[uuid.UUID]) -> list[Fix]:
    """Return the last positions of responders; who has none is left out."""
    return await fetch_all(
        tx,
        Fix,
        "SELECT id, name, lat, lon, accuracy_m, fix_at AS at FROM responder"
        " WHERE id = ANY(%s) AND lat IS NOT NULL ORDER BY name, id",
        (list(responders),),
    )


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who handles incidents, and how many they hold now."""

    id: uuid.UUID
    name: str
    roles: list[str]
    holds: int


async def colleagues_on_duty(tx: Tx, division: str, roles: Collection[str]) -> list[Colleague]:
    """Return who is on duty for the division prefix, or for a part or the whole around it."""
    return await fetch_all(
        tx,
        Colleague,
        """
        SELECT u.id, u.display_name AS name, u.roles, (SELECT count(*) FROM incident i
            WHERE i.acknowledged_by = u.id AND i.status <> 'resolved') AS holds
        FROM user_account u
        WHERE u.on_duty AND u.disabled_at IS NULL AND u.roles && %(roles)s
            AND (u.division LIKE %(division)s || '%%' OR %(division)s LIKE u.division || '%%')
        ORDER BY u.display_name, u.id
        """,
        {"roles": list(roles), "division": division},
    )


async def was_read(tx: Tx, reader: uuid.UUID, incident_id: uuid.UUID, since: datetime) -> bool:
    """True when the audit log has that the person read the incident since then."""
    return bool(
        await fetch_value(
            tx,
            "SELECT EXISTS (SELECT FROM audit_log WHERE subject_type = 'incident'"
            " AND subject_id = %s AND actor_id = %s AND action = 'incident.read' AND at >= %s)",
            (str(incident_id), reader, since),
        )
    )


async def ask_demo(tx: Tx, wish: Mapping[str, str]) -> None:
    """Ask the demonstration's simulator for something; nobody hears it where none runs."""
    await execute(tx, "SELECT pg_notify(%s, %s)", (DEMO_CHANNEL, json.dumps(wish)))
