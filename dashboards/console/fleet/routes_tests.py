"""Self-tests that are due: the list, and the same as a sheet to take along on visits."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.fleet.frame import (
    ROOT,
    Context,
    Now,
    Technician,
    address,
    division_choices,
    division_in,
    show,
)
from devices.profiles import PROFILES
from devices.selftests import service
from devices.selftests.model import DueFilters

router = APIRouter()
TESTS = f"{ROOT}/self-tests"
_ON_A_PAGE = 50
_ON_A_SHEET = 500


@router.get(TESTS)
async def self_tests(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """One part of the list, the longest overdue first."""
    query = request.query_params
    soon = query.get("due") == "soon"
    filters = DueFilters(
        until=now + service.SOON if soon else now,
        division=division_in(request),
        after=_after(query),
        limit=_ON_A_PAGE + 1,
    )
    async with ctx.db.connection() as conn:
        found = await service.due(conn, actor, filters)
        total = await service.count(conn, actor, filters)
        divisions = await division_choices(conn, actor)
    last = found[_ON_A_PAGE - 1] if len(found) > _ON_A_PAGE else None
    chosen = {"due": "soon" if soon else "", "division": filters.division}
    following = f"{last.due_at.isoformat()}_{last.device_id}" if last else ""
    return show(
        request,
        "self_tests.html",
        now,
        rows=found[:_ON_A_PAGE],
        total=total,
        chosen=chosen,
        divisions=divisions,
        intervals=sorted({one.self_test_days for one in PROFILES.values()} - {0}),
        next_url=address(TESTS, **chosen, after=following) if last else "",
        print_url=address(f"{TESTS}/print", **chosen),
    )


def _after(query: Mapping[str, str]) -> tuple[datetime, str] | None:
    at, _, device_id = query.get("after", "").replace("\0", "").partition("_")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (moment, device_id) if moment.tzinfo else None


@router.get(f"{TESTS}/print")
async def sheet(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """A sheet for visits, by place, with room for a tick and a signature."""
    soon = request.query_params.get("due") == "soon"
    filters = DueFilters(
        until=now + service.SOON if soon else now, division=division_in(request),
        limit=_ON_A_SHEET,
    )  # fmt: skip
    async with ctx.db.connection() as conn:
        found = await service.due(conn, actor, filters)
        total = await service.count(conn, actor, filters)
    rows = sorted(found, key=lambda one: (one.division_code, one.elder_name or "", one.device_id))
    return show(request, "sheet.html", now, rows=rows, total=total, person=actor.display_name)
