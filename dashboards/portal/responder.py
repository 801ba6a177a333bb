"""The responder's phone page: one link, one incident, four big buttons; no login, no app.

The token in the path is the whole right. It is in no log of ours, the page sends no referrer and
is in no index. Everything works with forms alone; the small script only makes it bear a bad line
(dashboards/assets/src/entries/responder.ts). Where the key is and whom to phone is shown while
somebody is on the way or there, not before accepting and not afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile

from care.elders.model import ElderCard
from care.elders.summary import elder_card
from dashboards.portal.maps import MapApp, map_link
from dashboards.ui.environment import Pages
from dashboards.ui.i18n import N_, translator
from dashboards.ui.view import view_of
from hotline.dispatch import machine, service
from hotline.dispatch.images import MAX_BYTES
from hotline.dispatch.model import Dispatch, DispatchAction, DispatchStatus
from hotline.incidents import store as incidents
from hotline.incidents.model import Incident
from hotline.responders import service as responders
from kernel import audit
from kernel.auth.web import public
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.web import WebContext, get_context, get_now

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/r", dependencies=[Depends(public)], tags=["responder"])
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]

GOAL = N_("目的地")
# The multipart frame around a photo: boundaries, names, a few fields.
_FRAME_BYTES = 64 * 1024
ACTION_LABELS = {
    DispatchAction.ACCEPT: N_("接受"),
    DispatchAction.DEPART: N_("出发"),
    DispatchAction.ARRIVE: N_("到达"),
    DispatchAction.COMPLETE: N_("完成"),
}
# What the page says above its content after something was sent.
MESSAGES = {
    "step": N_("已记录，值班员能看到。"),
    "note": N_("备注已发给值班员。"),
    "photo": N_("照片已发给值班员。"),
    "conflict": N_("任务状态已经变化，请看下面的最新状态。"),
    "empty": N_("备注是空的，请先填写。"),
    "no_photo": N_("没有收到照片，请重新选择。"),
    "bad_photo": N_("照片不能用：请用 6 MB 以内的 JPEG、PNG 或 WebP 照片。"),
    "too_large": N_("照片超过 6 MB，请用较小的照片。"),
    "too_many": N_("照片已经足够，不能再添加。"),
}
PROBLEMS = frozenset({"conflict", "empty", "no_photo", "bad_photo", "too_large", "too_many"})
DEAD = {
    "unknown": N_("这个链接不对，请检查短信里的链接是否完整。"),
    "expired": N_("这个链接已过期。"),
    DispatchStatus.WITHDRAWN.value: N_("任务已撤回，无需前往。"),
    DispatchStatus.DECLINED.value: N_("您已说明不能前往，任务已转给其他人员。"),
}
_ON_DUTY = frozenset({DispatchStatus.ACCEPTED, DispatchStatus.EN_ROUTE, DispatchStatus.ON_SCENE})


@dataclass(frozen=True, slots=True)
class Step:
    """One of the four buttons: `state` is done, next or later."""

    action: DispatchAction
    label: str
    state: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go: degrees in WGS-84, a link to a map ("" for none), whether it is the home."""

    lat: float
    lon: float
    href: str
    is_home: bool
    at: datetime | None
    accuracy_m: float | None


def steps(status: DispatchStatus) -> list[Step]:
    """Return the four buttons in their order."""
    following = machine.NEXT.get(status)
    found = []
    for action in machine.ORDER:
        if action is following:
            state = "next"
        else:
            state = "done" if machine.already_done(status, action) else "later"
        found.append(Step(action, ACTION_LABELS[action], state))
    return found


def place_of(
    incident: Incident, card: ElderCard | None, link: Callable[[float, float], str]
) -> Place | None:
    """Return the alarm's own position, else the home; `link` makes the address of its map."""
    lat, lon, home = incident.lat, incident.lon, False
    if lat is None or lon is None:
        lat, lon, home = (card.lat, card.lon, True) if card else (None, None, True)
    if lat is None or lon is None:
        return None
    moment = None if home else incident.position_at
    accuracy = None if home else incident.position_accuracy_m
    return Place(lat, lon, link(lat, lon), home, moment, accuracy)


@router.get("/{token}")
async def page(token: str, request: Request, ctx: Context, now: Now, m: str = "") -> Response:
    """Show the task; reading it is audited."""
    try:
        async with ctx.db.transaction() as tx:
            dispatch = await service.open_link(tx, token, now)
            incident, card = await _read(tx, ctx, dispatch, now)
    except service.LinkDead as dead:
        return _dead(request, dead, now)
    shown = dispatch.status in _ON_DUTY
    agent = request.headers.get("user-agent", "")
    name = translator(view_of(request, now=now, actor=None).locale).gettext(GOAL)
    place = place_of(
        incident, card, lambda lat, lon: map_link(MapApp(ctx.map_app), lat, lon, name, agent)
    )
    return _render(
        request,
        "portal/responder.html",
        now,
        dispatch=dispatch,
        incident=incident,
        card=card,
        shown=shown,
        place=place,
        steps=steps(dispatch.status),
        can_decline=machine.target(dispatch.status, DispatchAction.DECLINE) is not None,
        message=MESSAGES.get(m, ""),
        problem=m in PROBLEMS,
        # Relative to the page itself, so that no address on it repeats the host.
        base=f"/r/{token}",
    )


async def _read(
    tx: Tx, ctx: WebContext, dispatch: Dispatch, now: datetime
) -> tuple[Incident, ElderCard | None]:
    incident = await incidents.get(tx, dispatch.incident_id)
    if incident is None:
        raise NotFound("there is no such incident")
    card = await elder_card(tx, ctx.cipher, incident.elder_id) if incident.elder_id else None
    await audit.record(
        tx,
        actor=service.responder_actor(dispatch),
        action="dispatch.read",
        subject_type="incident",
        subject_id=str(incident.id),
        division=incident.division_code,
        detail={"dispatch": str(dispatch.id), "status": dispatch.status.value},
        now=now,
    )
    return incident, card


@router.post("/{token}/step")
async def step(
    token: str,
    request: Request,
    ctx: Context,
    now: Now,
    action: Annotated[DispatchAction, Form()],
    version: Annotated[int | None, Form()] = None,
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Take one of the four steps, or decline."""
    if action is DispatchAction.WITHDRAW:
        raise NotFound("there is no such step")
    try:
        async with ctx.db.transaction() as tx:
            dispatch = await service.open_link(tx, token, now)
            await service.respond(
                tx,
                dispatch.id,
                action,
                now,
                version=version,
                reason=reason.replace("\0", "").strip(),
            )
    except service.LinkDead as dead:
        return _dead(request, dead, now)
    except Conflict:
        return _back(token, "conflict")
    return _back(token, "step")


@router.post("/{token}/note")
async def note(
    token: str,
    request: Request,
    ctx: Context,
    now: Now,
    text: Annotated[str, Form(max_length=2000)] = "",
    key: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Write on the timeline."""
    try:
        async with ctx.db.transaction() as tx:
            dispatch = await service.open_link(tx, token, now)
            await service.add_note(tx, dispatch, text, now, key=key.replace("\0", ""))
    except service.LinkDead as dead:
        return _dead(request, dead, now)
    except Invalid:
        return _back(token, "empty")
    return _back(token, "note")


@router.post("/{token}/photo")
async def photo(token: str, request: Request, ctx: Context, now: Now) -> Response:
    """Take a photo of at most 6 MiB; the size is looked at before the body is read."""
    try:
        # Nobody without a link makes us read six megabytes.
        async with ctx.db.connection() as conn:
            dispatch = await service.open_link(conn, token, now)
    except service.LinkDead as dead:
        return _dead(request, dead, now)
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_BYTES + _FRAME_BYTES:
        return _back(token, "too_large")
    async with request.form(max_files=1, max_fields=5) as form:
        file = form.get("photo")
        image = await file.read() if isinstance(file, UploadFile) else b""
    if not image:
        return _back(token, "no_photo")
    try:
        async with ctx.db.transaction() as tx:
            await service.add_photo(tx, ctx.cipher, dispatch, image, now)
    except service.TooManyPhotos:
        return _back(token, "too_many")
    except Invalid:
        return _back(token, "bad_photo")
    return _back(token, "photo")


@router.post("/{token}/position")
async def position(
    token: str,
    ctx: Context,
    now: Now,
    lat: Annotated[float, Form()],
    lon: Annotated[float, Form()],
    accuracy: Annotated[float | None, Form()] = None,
) -> Response:
    """Keep where the responder is, while on the way or there; the phone has asked its owner."""
    async with ctx.db.transaction() as tx:
        dispatch = await service.open_link(tx, token, now)
        if dispatch.status in _ON_DUTY:
            await responders.report_position(tx, dispatch.responder_id, lat, lon, accuracy, now)
    return Response(status_code=204, headers=PRIVATE)


# The link is a secret: it must not travel in a Referer, lie in a cache or be found by a search.
PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}


def _render(
    request: Request, template: str, now: datetime, status: int = 200, **values: Any
) -> Response:
    pages: Pages = request.app.state.pages
    response = pages.response(request, template, now=now, status=status, **values)
    response.headers.update(PRIVATE)
    return response


def _back(token: str, message: str) -> Response:
    """Go back to the page (303): loading it again sends nothing twice."""
    return RedirectResponse(f"/r/{token}?m={message}", 303, PRIVATE)


def _dead(request: Request, dead: service.LinkDead, now: datetime) -> Response:
    why = str(dead.facts.get("why", "unknown"))
    status = 404 if why == "unknown" else 410
    log.info("responder.link_dead", why=why)
    return _render(
        request, "portal/responder_dead.html", now, status, text=DEAD[why],
        over=why in {DispatchStatus.WITHDRAWN, DispatchStatus.DECLINED},
    )  # fmt: skip
