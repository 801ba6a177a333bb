"""Read models: SQL that joins incidents with the elder's name, the device and the place."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from hotline.board.model import (
    AttemptRow,
    DeviceBrief,
    ElderBrief,
    HistoryFilter,
    HistoryRow,
    IncidentPage,
    QueueRow,
    Stats,
)
from hotline.dispatch import store as dispatches
from hotline.escalation import store as escalation
from hotline.incidents import machine
from hotline.incidents import store as incidents
from hotline.incidents.model import Incident
from kernel.db import Tx, fetch_all, fetch_one, fetch_tuples, fetch_value

_PLACE: LiteralString = """
    LEFT JOIN division county ON county.code = left(i.division_code, 6) || '000000'
    LEFT JOIN division town ON town.code = left(i.division_code, 9) || '000'
        AND town.code <> county.code
"""
_PLACE_NAME: LiteralString = "coalesce(county.name, '') || coalesce(town.name, '')"
_RANK: LiteralString = "array_position(ARRAY['critical', 'major', 'minor', 'technical'], severity)"


async def queue(tx: Tx, division: str, limit: int = 300, *, group: bool = True) -> list[QueueRow]:
    """Return what waits or is worked on: unclaimed first, then by severity, the oldest first.

    With `group`, unclaimed technical incidents of one kind are one line (`grouped` counts them).
    """
    return await fetch_all(
        tx,
        QueueRow,
        """
        WITH waiting AS (
            SELECT i.*,
                CASE WHEN %(group)s AND i.severity = 'technical' AND i.status = 'open'
                    THEN count(*) OVER same ELSE 1 END AS grouped,
                CASE WHEN %(group)s AND i.severity = 'technical' AND i.status = 'open'
                    THEN row_number() OVER (same ORDER BY i.opened_at, i.id) ELSE 1 END AS place_in
            FROM incident i
            WHERE i.status <> 'resolved' AND i.division_code LIKE %(division)s || '%%'
            WINDOW same AS (PARTITION BY i.kind, i.severity, i.status, i.test)
        )
        SELECT i.id, i.number, i.kind, i.severity, i.status, i.test, i.condition_active,
            i.elder_id, e.name AS elder_name, e.sex AS elder_sex, e.birth_date AS elder_birth_date,
            d.id AS device_id, d.room, """  # noqa: S608 - our own constants
        + _PLACE_NAME
        + """ AS place, i.opened_at, coalesce(CASE WHEN i.status = 'open' THEN (
                SELECT max(v.at) FROM incident_event v
                WHERE v.incident_id = i.id AND v.kind = 'incident.released') END, i.opened_at)
                AS waiting_since,
            i.last_activation_at, i.activation_count, i.acknowledged_at,
            u.username AS acknowledged_by, u.display_name AS holder_name, i.escalation_level,
            i.version, i.grouped
        FROM waiting i LEFT JOIN elder e ON e.id = i.elder_id
            LEFT JOIN device d ON d.no = i.device_no
            LEFT JOIN user_account u ON u.id = i.acknowledged_by"""
        + _PLACE
        + "WHERE i.place_in = 1 ORDER BY i.status <> 'open', "
        + _RANK
        + ", i.opened_at, i.id LIMIT %(limit)s",
        {"division": division, "limit": limit, "group": group},
    )


async def incident_page(tx: Tx, incident_id: uuid.UUID, division: str = "") -> IncidentPage | None:
    """Return everything about one incident of the division prefix, None when there is none.

    Reading it is reading of the elder: the caller writes the audit log.
    """
    incident = await incidents.get(tx, incident_id, division)
    if incident is None:
        return None
    return IncidentPage(
        incident=incident,
        elder=await _elder(tx, incident),
        device=await _device(tx, incident),
        place=await place_name(tx, incident.division_code),
        actions=[action.value for action in machine.possible(incident.status)],
        resolved_by_name=await fetch_value(
            tx, "SELECT display_name FROM user_account WHERE id = %s", (incident.resolved_by,)
        ),
        activations=await incidents.activations(tx, incident_id),
        events=await incidents.events(tx, incident_id),
        dispatches=await dispatches.of_incident(tx, incident_id),
        photos=await dispatches.photos(tx, incident_id),
        attempts=await attempts(tx, incident_id),
        deadlines=await escalation.pending_deadlines(tx, incident_id),
    )


async def place_name(tx: Tx, division_code: str) -> str:
    """Return county and township of a division code, as far as they are known."""
    rows = await fetch_tuples(
        tx,
        "SELECT string_agg(name, '' ORDER BY code) FROM (SELECT DISTINCT code, name FROM division"
        " WHERE code IN (left(%(code)s, 6) || '000000', left(%(code)s, 9) || '000')) d",
        {"code": division_code},
    )
    return rows[0][0] or ""


async def attempts(tx: Tx, incident_id: uuid.UUID) -> list[AttemptRow]:
    """Return the calls and texts of an incident, oldest first."""
    return await fetch_all(
        tx,
        AttemptRow,
        """
        SELECT a.id, a.channel, a.purpose, a.to_name, a.contact_id, a.dispatch_id, a.status,
            a.digits, a.created_at, a.answered_at, a.ended_at, u.display_name AS created_by_name,
            a.error
        FROM contact_attempt a LEFT JOIN user_account u ON u.id = a.created_by
        WHERE a.incident_id = %s ORDER BY a.created_at, a.id
        """,
        (incident_id,),
    )


async def _elder(tx: Tx, incident: Incident) -> ElderBrief | None:
    return await fetch_one(
        tx,
        ElderBrief,
        "SELECT e.id, e.name, e.sex, e.birth_date, e.living_situation, e.division_code,"
        " coalesce(d.name, '') AS division_name, e.lat, e.lon"
        " FROM elder e LEFT JOIN division d ON d.code = e.division_code WHERE e.id = %s",
        (incident.elder_id,),
    )


async def _device(tx: Tx, incident: Incident) -> DeviceBrief | None:
    return await fetch_one(
        tx,
        DeviceBrief,
        "SELECT no, id, profile, room, online, last_seen_at, battery_percent FROM device"
        " WHERE no = coalesce((SELECT a.device_no FROM incident_activation a"
        " WHERE a.incident_id = %s ORDER BY a.at DESC, a.id DESC LIMIT 1), %s)",
        (incident.id, incident.device_no),
    )


_FILTER: LiteralString = """
    i.division_code LIKE %(division)s || '%%'
    AND (%(kind)s = '' OR i.kind = %(kind)s)
    AND (%(severity)s = '' OR i.severity = %(severity)s)
    AND (%(status)s = '' OR i.status = %(status)s
        OR (%(status)s = 'unresolved' AND i.status <> 'resolved'))
    AND (%(resolution)s = '' OR i.resolution = %(resolution)s)
    AND (%(elder_id)s::uuid IS NULL OR i.elder_id = %(elder_id)s)
    AND (%(device_no)s::bigint IS NULL OR i.device_no = %(device_no)s)
    AND (%(since)s::timestamptz IS NULL OR i.opened_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR i.opened_at < %(until)s)
    AND (%(test)s::boolean IS NULL OR i.test = %(test)s)
    AND (%(text)s = '' OR i.number::text = %(text)s OR d.id = %(text)s
        OR position(%(text)s IN e.name) > 0
        OR position(' ' || lower(%(text)s) IN ' ' || e.pinyin) > 0
        OR position(' ' || lower(%(text)s) IN ' ' || e.pinyin_initials) > 0)
"""
# The columns that a list may be sorted by; the key comes from a URL, the SQL never does.
_SORTS: dict[str, LiteralString] = {
    "opened_at": "i.opened_at, i.id",
    "-opened_at": "i.opened_at DESC, i.id DESC",
    "number": "i.number",
    "-number": "i.number DESC",
    "severity": _RANK + ", i.opened_at DESC, i.id",
    "-severity": _RANK + " DESC, i.opened_at DESC, i.id",
}


_FROM: LiteralString = """
    FROM incident i LEFT JOIN elder e ON e.id = i.elder_id
        LEFT JOIN device d ON d.no = i.device_no
"""
_HISTORY: LiteralString = (
    """
    SELECT i.id, i.number, i.kind, i.severity, i.status, i.resolution, i.resolution_reason,
        i.test, i.elder_id, e.name AS elder_name, d.id AS device_id, i.opened_at,
        i.first_acknowledged_at, i.on_scene_at, i.resolved_at, u.display_name AS holder_name,
        r.display_name AS resolved_by_name, i.activation_count, count(*) OVER () AS total, """
    + _PLACE_NAME
    + " AS place"
    + _FROM
    + """LEFT JOIN user_account u ON u.id = i.acknowledged_by
        LEFT JOIN user_account r ON r.id = i.resolved_by"""
    + _PLACE
)


async def history(
    tx: Tx,
    division: str,
    wanted: HistoryFilter,
    *,
    sort: str = "-opened_at",
    limit: int = 50,
    offset: int = 0,
) -> tuple[list[HistoryRow], int]:
    """Return a page of all incidents that fit, and how many fit. An unknown sort is the first."""
    params = _params(division, wanted) | {"limit": limit, "offset": offset}
    order = _SORTS.get(sort, _SORTS["-opened_at"])
    window: LiteralString = " LIMIT %(limit)s OFFSET %(offset)s"
    sql = _HISTORY + "WHERE" + _FILTER + "ORDER BY " + order + window
    rows = await fetch_all(tx, HistoryRow, sql, params)
    if rows or not offset:
        return rows, rows[0].total if rows else 0
    total = await fetch_value(tx, "SELECT count(*)" + _FROM + "WHERE" + _FILTER, params)
    return [], int(total)


def _params(division: str, wanted: HistoryFilter) -> dict[str, Any]:
    return {
        "division": division,
        "text": wanted.text.strip(),
        "kind": wanted.kind,
        "severity": wanted.severity,
        "status": wanted.status,
        "resolution": wanted.resolution,
        "elder_id": wanted.elder_id,
        "device_no": wanted.device_no,
        "since": wanted.since,
        "until": wanted.until,
        "test": wanted.test,
    }


@dataclass(frozen=True, slots=True)
class _Figures:
    opened: int
    unacknowledged: int
    in_progress: int
    resolved: int
    escalated: int
    answered_60: float | None
    answered_180: float | None
    on_site_45: float | None
    answer_p50_s: float | None
    answer_p95_s: float | None


_SPAN: LiteralString = (
    "division_code LIKE %(division)s || '%%' AND opened_at >= %(since)s AND opened_at < %(until)s"
    " AND NOT test"
)
_FIGURES: LiteralString = (
    """
    WITH span AS (
        SELECT i.*, extract(epoch FROM first_acknowledged_at - opened_at)::float8 AS answer_s,
            severity IN ('critical', 'major') AS urgent, %(now)s - opened_at AS waits,
            EXISTS (SELECT 1 FROM incident_event v WHERE v.incident_id = i.id
                AND v.kind = 'incident.escalated') AS escalated
        FROM incident i WHERE """  # noqa: S608 - our own constants
    + _SPAN
    + """)
    SELECT count(*) AS opened, count(*) FILTER (WHERE status = 'open') AS unacknowledged,
        count(*) FILTER (WHERE status NOT IN ('open', 'resolved')) AS in_progress,
        count(*) FILTER (WHERE status = 'resolved') AS resolved,
        count(*) FILTER (WHERE escalated) AS escalated,
        avg((coalesce(answer_s, 1e9) <= 60)::int) FILTER (WHERE urgent AND
            (answer_s IS NOT NULL OR waits > interval '60 s'))::float8 AS answered_60,
        avg((coalesce(answer_s, 1e9) <= 180)::int) FILTER (WHERE urgent AND
            (answer_s IS NOT NULL OR waits > interval '180 s'))::float8 AS answered_180,
        avg((coalesce(on_scene_at <= opened_at + interval '45 minutes', false))::int)
            FILTER (WHERE on_scene_at IS NOT NULL OR dispatched_at IS NOT NULL AND
                status <> 'resolved' AND waits > interval '45 minutes')::float8 AS on_site_45,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY answer_s) AS answer_p50_s,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY answer_s) AS answer_p95_s
    FROM span
    """
)
_BY_RESOLUTION: LiteralString = (
    "SELECT resolution, count(*) FROM incident WHERE status = 'resolved' AND "  # noqa: S608 - our own constants
    + _SPAN
    + " GROUP BY 1 ORDER BY 2 DESC, 1"
)
_BY_KIND: LiteralString = (
    "SELECT kind, count(*) FROM incident WHERE " + _SPAN + " GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 - our own constants
)


async def stats(tx: Tx, division: str, since: datetime, until: datetime, now: datetime) -> Stats:
    """Return the figures of incidents opened in [since, until), tests left out."""
    params = {"division": division, "since": since, "until": until, "now": now}
    figures = await fetch_one(tx, _Figures, _FIGURES, params)
    if figures is None:
        raise RuntimeError("an aggregate without a row")
    return Stats(
        **{name: getattr(figures, name) for name in _Figures.__slots__},
        by_resolution=dict(await fetch_tuples(tx, _BY_RESOLUTION, params)),
        by_kind=dict(await fetch_tuples(tx, _BY_KIND, params)),
    )
