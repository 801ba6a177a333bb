"""SQL of the FHIR interface: observations by elder and time, devices by number."""

import uuid
from typing import LiteralString

from ingest.fhir.model import (
    DIASTOLIC,
    SYSTOLIC,
    DeviceRow,
    DeviceSearch,
    Key,
    Measured,
    PatientRow,
)
from ingest.fhir.model import ObservationSearch as Search
from ingest.telemetry.model import Quality
from kernel.db import Tx, fetch_all, fetch_one, fetch_value

_PRESSURES = (SYSTOLIC.id, DIASTOLIC.id)


def _stored(metrics: tuple[int, ...]) -> list[int]:
    """The metrics as they are stored: a panel is two."""
    return [*metrics, *([DIASTOLIC.id] if SYSTOLIC.id in metrics else [])]


_NEWEST_FIRST: LiteralString = """
    WITH span AS (
        SELECT * FROM unnest(%(lows)s::timestamptz[], %(highs)s::timestamptz[]) AS s (lo, hi)),
    owned AS (
        SELECT device_no, greatest(bound_at, s.lo) AS lo,
               least(coalesce(unbound_at, 'infinity'), s.hi) AS hi
        FROM device_binding JOIN span AS s
             ON bound_at < s.hi AND (unbound_at IS NULL OR unbound_at > s.lo)
        WHERE elder_id = %(elder)s AND (%(device)s::bigint IS NULL OR device_no = %(device)s)),
    found AS (
        SELECT r.time, o.device_no, m.metric, r.value, r.quality,
               CASE WHEN m.metric = %(second)s THEN %(first)s ELSE m.metric END AS panel
        FROM owned AS o CROSS JOIN unnest(%(metrics)s::smallint[]) AS m (metric)
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (time) time, value, quality FROM reading
            WHERE device_no = o.device_no AND metric = m.metric
                  AND time >= o.lo AND time < o.hi AND time <= %(at)s
                  AND time >= %(start)s AND time < %(end)s AND quality & %(test)s = 0
            ORDER BY time DESC LIMIT %(limit)s + 1) AS r)
    SELECT time, device_no, panel AS metric,
           max(value) FILTER (WHERE metric = panel) AS value,
           max(quality) FILTER (WHERE metric = panel) AS quality,
           max(value) FILTER (WHERE metric <> panel) AS second,
           max(quality) FILTER (WHERE metric <> panel) AS second_quality,
           %(elder)s::uuid AS elder_id
    FROM found
    WHERE %(first_page)s OR (time, device_no, panel) < (%(at)s, %(no)s, %(metric)s)
    GROUP BY time, device_no, panel
    ORDER BY time DESC, device_no DESC, panel DESC LIMIT %(limit)s
"""
# The same way back.
_OLDEST_FIRST: LiteralString = (
    _NEWEST_FIRST.replace("DESC", "ASC")
    .replace("time <= %(at)s", "time >= %(at)s")
    .replace("panel) < (", "panel) > (")
)


async def observations(tx: Tx, search: Search, limit: int) -> list[Measured]:
    """Return at most `limit` observations of the searched elder; equal times by device and metric.

    Of each device and metric no more readings are touched than the page has room for, by the chart
    index. Only what was measured while the device was the elder's counts.
    """
    if not search.spans or not search.metrics:
        return []
    start, end = search.spans[0].low, search.spans[-1].high
    after = search.after or Key(end if search.newest_first else start, 0, 0)
    return await fetch_all(
        tx,
        Measured,
        _NEWEST_FIRST if search.newest_first else _OLDEST_FIRST,
        {
            "elder": search.patient,
            "device": search.device,
            "lows": [span.low for span in search.spans],
            "highs": [span.high for span in search.spans],
            "start": start,
            "end": end,
            "metrics": _stored(search.metrics),
            "first": SYSTOLIC.id,
            "second": DIASTOLIC.id,
            "test": int(Quality.TEST),
            "first_page": search.after is None,
            "at": after.time,
            "no": after.device_no,
            "metric": after.metric,
            "limit": limit,
        },
    )


async def observation(tx: Tx, key: Key) -> Measured | None:
    """Return one observation with whose it was, None when there is none or it was nobody's."""
    elder = await _owner(tx, key)
    if elder is None:
        return None
    return await fetch_one(
        tx,
        Measured,
        """
        SELECT %(time)s AS time, %(no)s AS device_no, %(metric)s AS metric,
               max(value) FILTER (WHERE metric = %(metric)s) AS value,
               max(quality) FILTER (WHERE metric = %(metric)s) AS quality,
               max(value) FILTER (WHERE metric <> %(metric)s) AS second,
               max(quality) FILTER (WHERE metric <> %(metric)s) AS second_quality,
               %(elder)s::uuid AS elder_id
        FROM reading
        WHERE device_no = %(no)s AND metric = ANY (%(metrics)s::smallint[]) AND time = %(time)s
              AND quality & %(test)s = 0
        HAVING count(*) > 0
        """,
        {
            "time": key.time,
            "no": key.device_no,
            "metric": key.metric,
            "metrics": _stored((key.metric,)),
            "elder": elder,
            "test": int(Quality.TEST),
        },
    )


async def _owner(tx: Tx, key: Key) -> uuid.UUID | None:
    owner: uuid.UUID | None = await fetch_value(
        tx,
        "SELECT elder_id FROM device_binding WHERE device_no = %(no)s AND bound_at <= %(time)s"
        " AND (unbound_at IS NULL OR unbound_at > %(time)s)",
        {"no": key.device_no, "time": key.time},
    )
    return owner


async def devices(tx: Tx, search: DeviceSearch, scope: str, limit: int) -> list[DeviceRow]:
    """Return at most `limit` devices of a division prefix that match, by number."""
    return await fetch_all(
        tx,
        DeviceRow,
        """
        SELECT no, id, profile, serial, state, firmware, online, elder_id, division_code, updated_at
        FROM device
        WHERE no > %(after)s AND starts_with(division_code, %(scope)s)
              AND (%(numbers)s::bigint[] IS NULL OR no = ANY (%(numbers)s))
              AND (%(elder)s::uuid IS NULL OR elder_id = %(elder)s)
              AND (%(name)s::text IS NULL OR id = %(name)s)
              AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
        ORDER BY no LIMIT %(limit)s
        """,
        {
            "after": search.after,
            "scope": scope,
            "numbers": None if search.numbers is None else list(search.numbers),
            "elder": search.patient,
            "name": search.identifier,
            "states": None if search.states is None else list(search.states),
            "limit": limit,
        },
    )


async def device(tx: Tx, no: int, scope: str) -> DeviceRow | None:
    """Return a device of a division prefix by its number."""
    found = await devices(tx, DeviceSearch((no,)), scope, 1)
    return found[0] if found else None


async def patient(tx: Tx, elder_id: uuid.UUID) -> PatientRow | None:
    """Return what a Patient tells of an elder."""
    return await fetch_one(
        tx,
        PatientRow,
        "SELECT id, name, sex, birth_date, archived_at, updated_at FROM elder WHERE id = %s",
        (elder_id,),
    )
