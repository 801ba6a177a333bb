"""SQL of baselines: learned from the rollups, many elders in one statement."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from devices.metrics import METRICS
from ingest.baselines.model import ANY_HOUR, Level, Levels, Recent
from ingest.baselines.rules import BEFORE_DAYS, QUARTERS, RECENT_DAYS, WATCHED
from ingest.detection.defaults import LOCAL_ZONE
from kernel.db import Tx, execute, fetch_all, fetch_tuples, fetch_value

_ZONE = LOCAL_ZONE.key
_IDS = [METRICS[code].id for code in WATCHED]
_LEAST = [each.least for each in WATCHED.values()]
_STEPS = METRICS["steps"].id
_LEARNED = timedelta(days=14)
_RECENT = timedelta(hours=2)
_NIGHT_ENDS = 6
_LEAST_DAYS_OF_HOUR = 5
_LEAST_DAYS = 7
_MOST_STEPS = 60.0
"""Steps in a quarter of an hour that still count as rest: a way to the kitchen and back."""


async def elders_of_turn(tx: Tx, turn: int, turns: int) -> list[uuid.UUID]:
    """Return those elders with devices whose turn it is: an even share of all of them."""
    rows = await fetch_tuples(
        tx,
        "SELECT DISTINCT elder_id FROM device_binding"
        " WHERE unbound_at IS NULL AND abs(hashtext(elder_id::text)::bigint) %% %s = %s ORDER BY 1",
        (turns, turn),
    )
    return [row[0] for row in rows]


async def elders_of_hours(
    tx: Tx, hours: Collection[tuple[int, datetime]], now: datetime, limit: int
) -> list[uuid.UUID]:
    """Return at most `limit` elders who learn from one of these hours of a device."""
    rows = await fetch_tuples(
        tx,
        """
        SELECT DISTINCT b.elder_id
        FROM unnest(%s::bigint[], %s::timestamptz[]) AS h (no, hour)
        JOIN device_binding b ON b.device_no = h.no AND h.hour >= b.bound_at
             AND (b.unbound_at IS NULL OR h.hour < b.unbound_at)
        WHERE h.hour >= %s ORDER BY 1 LIMIT %s
        """,
        ([no for no, _ in hours], [hour for _, hour in hours],
         now - timedelta(days=1) - _LEARNED, limit),
    )  # fmt: skip
    return [row[0] for row in rows]


async def learn(tx: Tx, elders: Sequence[uuid.UUID], now: datetime) -> int:
    """Learn what is ordinary for these elders, by the hour with its neighbours and for the day.

    From the hours of the 14 days before yesterday: what began an hour ago must not pass for
    ordinary. Returns how many baselines there are now; what nobody measures any more is forgotten.
    """
    until = now - timedelta(days=1)
    await execute(
        tx,
        """
        WITH point AS MATERIALIZED (
            SELECT b.elder_id, r.metric, r.mean,
                extract(hour FROM r.bucket AT TIME ZONE %(zone)s)::int AS hour,
                (r.bucket AT TIME ZONE %(zone)s)::date AS day
            FROM device_binding b
            JOIN reading_1h r ON r.device_no = b.device_no AND r.bucket >= b.bound_at
                AND (b.unbound_at IS NULL OR r.bucket < b.unbound_at)
            WHERE b.elder_id = ANY(%(elders)s) AND r.metric = ANY(%(metrics)s)
                AND r.bucket >= %(since)s AND r.bucket < %(until)s
        ), placed AS (
            SELECT elder_id, metric, mean, day, (24 + hour + step) %% 24 AS hour
            FROM point CROSS JOIN (VALUES (-1), (0), (1)) AS beside (step)
            UNION ALL
            SELECT elder_id, metric, mean, day, %(any_hour)s FROM point
        ), level AS (
            SELECT elder_id, metric, hour, least(count(DISTINCT day), %(most)s) AS days,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY mean) AS median
            FROM placed GROUP BY elder_id, metric, hour
        ), learned AS (
            SELECT l.elder_id, l.metric, l.hour, l.days, l.median,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(p.mean - l.median)) AS mad
            FROM level l JOIN placed p USING (elder_id, metric, hour)
            GROUP BY l.elder_id, l.metric, l.hour, l.days, l.median
        )
        INSERT INTO elder_baseline (elder_id, metric, hour, median, mad, days, learned_at)
        SELECT elder_id, metric, hour, median, mad, days, %(now)s FROM learned
        ON CONFLICT (elder_id, metric, hour) DO UPDATE
        SET median = excluded.median, mad = excluded.mad, days = excluded.days,
            learned_at = excluded.learned_at
        """,
        {
            "zone": _ZONE,
            "elders": list(elders),
            "metrics": _IDS,
            "since": until - _LEARNED,
            "until": until,
            "any_hour": ANY_HOUR,
            "most": _LEARNED.days,
            "now": now,
        },
    )
    await execute(
        tx,
        "DELETE FROM elder_baseline WHERE elder_id = ANY(%s) AND learned_at < %s",
        (list(elders), now),
    )
    return int(
        await fetch_value(
            tx, "SELECT count(*) FROM elder_baseline WHERE elder_id = ANY(%s)", (list(elders),)
        )
    )


async def recent(tx: Tx, now: datetime) -> list[Recent]:
    """Return metrics whose last quarters all differ by what matters, and those that did before.

    Of devices that the elder has now; quarters of an hour in which the elder walked are left out,
    because nobody's heart rests on a walk.
    """
    return await fetch_all(
        tx,
        Recent,
        """
        WITH watched AS (
            SELECT * FROM unnest(%(metrics)s::smallint[], %(codes)s::text[], %(least)s::float8[])
                AS w (metric, code, least)
        ), quarter AS (
            SELECT b.elder_id, r.metric, r.bucket, sum(r.total) / sum(r.n) AS mean,
                min(r.device_no) AS device_no
            FROM reading_15m r
            JOIN device_binding b ON b.device_no = r.device_no AND b.unbound_at IS NULL
                AND r.bucket >= b.bound_at
            WHERE r.bucket >= %(since)s AND r.bucket < telemetry_bucket('15 minutes', %(now)s)
                AND r.metric = ANY(%(metrics)s)
            GROUP BY b.elder_id, r.metric, r.bucket
        ), walked AS (
            SELECT DISTINCT b.elder_id, r.bucket FROM reading_15m r
            JOIN device_binding b ON b.device_no = r.device_no AND b.unbound_at IS NULL
            WHERE r.bucket >= %(since)s AND r.metric = %(steps)s AND r.high - r.low > %(most)s
        ), numbered AS (
            SELECT q.*, row_number() OVER (PARTITION BY elder_id, metric ORDER BY bucket DESC) AS n
            FROM quarter q WHERE NOT EXISTS (
                SELECT FROM walked w WHERE w.elder_id = q.elder_id AND w.bucket = q.bucket)
        ), last AS (
            SELECT elder_id, metric, max(bucket) AS at,
                array_agg(mean ORDER BY bucket DESC) AS means,
                (array_agg(device_no ORDER BY bucket DESC))[1] AS device_no
            FROM numbered WHERE n <= %(quarters)s GROUP BY elder_id, metric
        )
        SELECT l.elder_id, l.device_no, l.metric, l.at, l.means, o.median, o.mad, o.hour, o.days
        FROM last l JOIN watched w USING (metric)
        CROSS JOIN LATERAL (
            SELECT * FROM elder_baseline o WHERE o.elder_id = l.elder_id AND o.metric = l.metric
                AND (o.hour = extract(hour FROM l.at AT TIME ZONE %(zone)s) AND o.days >= %(hours)s
                     OR o.hour = %(any_hour)s AND o.days >= %(days)s)
            ORDER BY o.hour DESC LIMIT 1
        ) AS o
        WHERE (SELECT count(*) >= %(quarters)s AND bool_and(abs(m - o.median) >= w.least)
               FROM unnest(l.means) AS m)
           OR EXISTS (SELECT FROM detection_state s WHERE s.subject = 'e:' || l.elder_id::text
                      AND s.rule = 'baseline:' || w.code)
        ORDER BY l.elder_id, l.metric
        """,
        {
            "metrics": _IDS,
            "codes": list(WATCHED),
            "least": _LEAST,
            "since": now - _RECENT,
            "now": now,
            "steps": _STEPS,
            "most": _MOST_STEPS,
            "quarters": QUARTERS,
            "zone": _ZONE,
            "hours": _LEAST_DAYS_OF_HOUR,
            "days": _LEAST_DAYS,
            "any_hour": ANY_HOUR,
        },
    )


@dataclass(frozen=True, slots=True)
class _LevelRow:
    elder_id: uuid.UUID
    metric: int
    day: date
    night: float | None
    whole: float
    device_no: int


async def levels(tx: Tx, elders: Collection[uuid.UUID], now: datetime) -> list[Levels]:
    """Return the level of each metric of these elders in the last weeks, day by day.

    That of the nights where there are nights enough, because at night nobody walks, eats or argues;
    else of the days. Today's day is not over and does not count; its night does.
    """
    rows = await fetch_all(
        tx,
        _LevelRow,
        """
        SELECT b.elder_id, r.metric, (r.bucket AT TIME ZONE %(zone)s)::date AS day,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY r.mean) FILTER (
                WHERE extract(hour FROM r.bucket AT TIME ZONE %(zone)s) < %(night_ends)s) AS night,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY r.mean) AS whole,
            max(r.device_no) AS device_no
        FROM device_binding b
        JOIN reading_1h r ON r.device_no = b.device_no AND r.bucket >= b.bound_at
            AND (b.unbound_at IS NULL OR r.bucket < b.unbound_at)
        WHERE b.elder_id = ANY(%(elders)s) AND r.metric = ANY(%(metrics)s)
            AND r.bucket >= %(since)s AND r.bucket < %(now)s
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """,
        {
            "zone": _ZONE,
            "night_ends": _NIGHT_ENDS,
            "elders": list(elders),
            "metrics": _IDS,
            "since": now - timedelta(days=RECENT_DAYS + BEFORE_DAYS),
            "now": now,
        },
    )
    local = now.astimezone(LOCAL_ZONE)
    return [
        _levels(list(group), local)
        for _, group in groupby(rows, lambda row: (row.elder_id, row.metric))
    ]


def _levels(rows: Sequence[_LevelRow], local: datetime) -> Levels:
    today, last = local.date(), rows[-1]
    nights = [
        Level(row.day, row.night)
        for row in rows
        if row.night is not None and (row.day < today or local.hour >= _NIGHT_ENDS)
    ]
    by_night = 2 * len(nights) >= len(rows)
    days = nights if by_night else [Level(row.day, row.whole) for row in rows if row.day < today]
    return Levels(last.elder_id, last.device_no, last.metric, by_night, days)
