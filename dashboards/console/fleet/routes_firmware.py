"""Firmware: packages and their roll-outs for technicians, and the link that devices fetch from."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from datetime import datetime

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response, StreamingResponse

from dashboards.console.devices import words as device_words
from dashboards.console.fleet import words
from dashboards.console.fleet.frame import (
    ROOT,
    Context,
    Now,
    Technician,
    address,
    division_choices,
    form_values,
    see_other,
    show,
    whole,
)
from dashboards.console.show import words_of
from devices.firmware import rules, service, store
from devices.firmware.machine import RolloutAction, possible
from devices.firmware.model import Package, Rollout, UpdateState
from devices.firmware.shelf import Shelf
from kernel import divisions
from kernel.auth.model import Actor
from kernel.auth.web import public
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.web import WebContext

router = APIRouter()
FIRMWARE = f"{ROOT}/firmware"
UPLOAD = f"{FIRMWARE}/upload"
_ROLLOUTS_SHOWN = 20
_ON_A_PAGE = 50
_running: set[asyncio.Task[None]] = set()
_USUAL = {"steps": "1, 10, 100", "soak_minutes": "60", "failure_percent": "20"}


def _shelf(request: Request) -> Shelf:
    shelf: Shelf = request.app.state.firmware
    return shelf


def _id(text: str) -> uuid.UUID:
    """Return an id of an address. Raises NotFound for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise NotFound("There is no such page.") from error


@router.get(FIRMWARE)
async def firmware(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """Packages and roll-outs."""
    return await _list(request, ctx, actor, now, {})


async def _list(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        packages = await store.packages(conn)
        rollouts = await store.rollouts(conn, actor.division, _ROLLOUTS_SHOWN)
        progress = {one.id: await store.progress(conn, one) for one in rollouts}
        places = {one.division: await _place(conn, one.division) for one in rollouts}
    models = [
        (code, device_words.model_title(code, tr.locale)) for code in rules.updatable_profiles()
    ]
    return show(
        request,
        "firmware.html",
        now,
        status=422 if wrong else 200,
        packages=packages,
        may_withdraw=lambda package: service.may_withdraw(package, actor),
        rollouts=rollouts,
        progress=progress,
        places=places,
        models=models,
        tones=words.ROLLOUT_TONE,
        largest=rules.LARGEST_PACKAGE // 1024 // 1024,
        values=values,
        errors=words.errors_of(wrong or {}, tr),
        done=request.query_params.get("done", ""),
    )


@router.post(UPLOAD)
async def upload(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """Take a package in: the file goes to the shelf, its checksum into the database."""
    form = await request.form()
    values = await form_values(request)
    file = form.get("file")
    try:
        if not isinstance(file, UploadFile):
            raise Invalid("There is no file.", {"file": "required"})
        early = rules.wrong_package(
            values.get("profile", ""), values.get("version", ""), 1, values.get("notes", "")
        )
        if early:
            raise Invalid("The package cannot be taken.", early)
        stored = await asyncio.to_thread(_shelf(request).put, file.file)
        async with ctx.db.transaction() as tx:
            await service.add_package(
                tx, stored, profile=values.get("profile", ""), version=values.get("version", ""),
                notes=values.get("notes", ""), file_name=(file.filename or "").replace("\0", ""),
                actor=actor, now=now,
            )  # fmt: skip
    except Invalid as error:
        return await _list(request, ctx, actor, now, values, error.fields)
    return see_other(address(FIRMWARE, done="uploaded"))


@router.post(FIRMWARE + "/packages/{package_id}/withdraw")
async def withdraw(package_id: str, actor: Technician, ctx: Context, now: Now) -> Response:
    """Take a package away; its file stays, and the log."""
    async with ctx.db.transaction() as tx:
        await service.withdraw_package(tx, _id(package_id), actor, now)
    return see_other(address(FIRMWARE, done="withdrawn"))


@router.get(FIRMWARE + "/packages/{package_id}/rollout")
async def rollout_form(
    request: Request, package_id: str, actor: Technician, ctx: Context, now: Now
) -> Response:
    """Ask how a package is to be rolled out."""
    async with ctx.db.connection() as conn:
        package = await service.get_package(conn, _id(package_id))
        choices = await _divisions(conn, actor)
    values = _USUAL | {"division": actor.division}
    return _rollout_form(request, now, package, choices, values)


async def _divisions(conn: Tx, actor: Actor) -> list[tuple[str, str]]:
    """The actor's whole division first, then its parts."""
    return [(actor.division, ""), *await division_choices(conn, actor)]


def _rollout_form(
    request: Request,
    now: datetime,
    package: Package,
    choices: list[tuple[str, str]],
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    return show(
        request,
        "rollout_new.html",
        now,
        status=422 if wrong else 200,
        package=package,
        divisions=choices,
        values=values,
        errors=words.errors_of(wrong or {}, words_of(request, now)),
    )


@router.post(FIRMWARE + "/packages/{package_id}/rollout")
async def start_rollout(
    request: Request, package_id: str, actor: Technician, ctx: Context, now: Now
) -> Response:
    """Begin to roll a package out."""
    async with ctx.db.connection() as conn:
        package = await service.get_package(conn, _id(package_id))
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            rollout = await service.start_rollout(
                tx,
                package.id,
                division=values.get("division", "?"),
                steps=values.get("steps", ""),
                canaries=values.get("canaries", "").replace(",", " ").replace("，", " ").split(),
                soak_minutes=_number(values, "soak_minutes"),
                failure_percent=_number(values, "failure_percent"),
                actor=actor,
                now=now,
            )
    except (Invalid, Conflict) as error:
        wrong = error.fields if isinstance(error, Invalid) else _taken(error)
        async with ctx.db.connection() as conn:
            choices = await _divisions(conn, actor)
        return _rollout_form(request, now, package, choices, values, wrong)
    return see_other(f"{FIRMWARE}/rollouts/{rollout.id}")


def _taken(error: Conflict) -> dict[str, str]:
    """What stands in the way: another roll-out there; anything else is passed on."""
    if "profile" not in error.facts:
        raise error
    return {"division": "busy"}


async def _place(conn: Tx, division: str) -> str:
    """The name of a division prefix, "" for all."""
    return await divisions.path_name(conn, division.ljust(12, "0")) if division else ""


def _number(values: Mapping[str, str], name: str) -> int:
    found = whole(values.get(name, ""), 1_000_000)
    return -1 if found is None else found


@router.get(FIRMWARE + "/rollouts/{rollout_id}")
async def rollout_page(
    request: Request, rollout_id: str, actor: Technician, ctx: Context, now: Now
) -> Response:
    """How far a roll-out is, and every device of it."""
    return await _rollout(request, rollout_id, actor, ctx, now)


async def _rollout(
    request: Request,
    rollout_id: str,
    actor: Actor,
    ctx: WebContext,
    now: datetime,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    query = request.query_params
    state = query.get("state", "") if query.get("state", "") in set(UpdateState) else ""
    after = whole(query.get("after", ""), 10**11) or 0
    async with ctx.db.connection() as conn:
        rollout, progress, rows = await service.overview(
            conn, _id(rollout_id), actor, state, after, _ON_A_PAGE + 1
        )
        place = await _place(conn, rollout.division)
    tr = words_of(request, now)
    path = f"{FIRMWARE}/rollouts/{rollout.id}"
    shown, more = rows[:_ON_A_PAGE], len(rows) > _ON_A_PAGE
    return show(
        request,
        "rollout.html",
        now,
        status=422 if wrong else 200,
        rollout=rollout,
        progress=progress,
        place=place,
        rows=shown,
        state=state,
        states=list(device_words.labels(words.UPDATE_STATE, tr).items()),
        tones=words.ROLLOUT_TONE,
        update_tones=words.UPDATE_TONE,
        actions=_actions(rollout, actor),
        path=path,
        here=address(path, state=state, after=after or ""),
        next_url=address(path, state=state, after=shown[-1].device_no) if more else "",
        first_url=address(path, state=state) if after else "",
        why=lambda detail: words.failure(detail, tr),
        errors=words.errors_of(wrong or {}, tr),
    )


def _actions(rollout: Rollout, actor: Actor) -> list[str]:
    """What the person may do with it: nothing where it is for more than their division."""
    mine = rollout.division.startswith(actor.division)
    return [one.value for one in possible(rollout.state)] if mine else []


@router.post(FIRMWARE + "/rollouts/{rollout_id}/{action}")
async def change_rollout(
    request: Request, rollout_id: str, action: str, actor: Technician, ctx: Context, now: Now
) -> Response:
    """Pause, resume or abort."""
    async with ctx.db.connection() as conn:
        rollout = await service.get_rollout(conn, _id(rollout_id), actor)
    if action not in set(RolloutAction) - {RolloutAction.COMPLETE}:
        raise NotFound("There is no such action.", action=action)
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            await service.change_rollout(
                tx, rollout.id, RolloutAction(action), reason=values.get("reason", ""),
                version=whole(values.get("version", ""), 10**9) or 0, actor=actor, now=now,
            )  # fmt: skip
    except Invalid as error:
        return await _rollout(request, rollout_id, actor, ctx, now, error.fields)
    return see_other(f"{FIRMWARE}/rollouts/{rollout.id}")


@router.get(service.PATH + "/{token}", dependencies=[Depends(public)])
async def download(request: Request, token: str, ctx: Context, now: Now) -> Response:
    """The file, for the device that the link was made for; 404 for a link that is over.

    The link itself is the proof: 256 random bits, of which we keep the hash.
    """
    async with ctx.db.transaction() as tx:
        found = await service.open_download(tx, token, now)
    shelf = _shelf(request)
    chunks = shelf.chunks(await asyncio.to_thread(shelf.open, found.sha256))

    async def body() -> AsyncIterator[bytes]:
        sent = 0
        try:
            while sent < found.size and (chunk := await asyncio.to_thread(next, chunks, None)):
                yield chunk
                sent += len(chunk)
        finally:
            chunks.close()
            if sent >= found.size:
                # A device closes the line as soon as it has everything, which cancels this here:
                # the link must be over all the same.
                await asyncio.shield(_in_any_case(_over(ctx, token, now)))

    headers = {
        "Content-Length": str(found.size),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)


async def _over(ctx: WebContext, token: str, now: datetime) -> None:
    async with ctx.db.transaction() as tx:
        await service.download_done(tx, token, now)


def _in_any_case(work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
    """Run something to its end whatever becomes of the request."""
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task
