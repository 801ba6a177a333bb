"""SQL of announced calls: they stand in the detail of the alarm that announced them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.db import Tx, fetch_all


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An alarm of a device that calls by voice."""

    id: uuid.UUID
    device_no: int
    elder_id: uuid.UUID | None
    detail: str


async def alarms_since(tx: Tx, profiles: Sequence[str], since: datetime) -> list[AlarmRow]:
    """Return the alarms of devices of these profiles since a moment, the newest first."""
    return await fetch_all(
        tx,
        AlarmRow,
        "SELECT a.id, a.device_no, a.elder_id, coalesce(a.detail ->> 'detail', '') AS detail"
        " FROM device d JOIN alarm a ON a.device_no = d.no AND a.received_at >= %s"
        " WHERE d.profile = ANY(%s) ORDER BY a.received_at DESC, a.id DESC",
        (since, list(profiles)),
    )
