"""How a device gets in: its secret, shown once, and its names in protocols."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    DeviceToChange,
    DeviceToRead,
    Now,
    Writer,
    done,
    form_values,
    path_of,
    see_other,
    show,
    too_late,
    uuid_in,
)
from dashboards.console.show import words_of
from devices.codecs import CODECS
from devices.credentials.model import PROTOCOL_PREFIX
from devices.profiles import PROFILES
from devices.registry import access, history_store
from devices.registry.model import Device
from kernel.errors import Conflict, Invalid, NotFound
from kernel.web import WebContext

router = APIRouter()
CREDENTIAL = ROOT + "/{device_id}/credential"
NAMES = ROOT + "/{device_id}/names"


@router.post(CREDENTIAL)
async def issue(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Give the device a secret and show it, this once: no cache keeps the page."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            secret = await access.issue_credential(
                tx,
                device.no,
                replaces=uuid_in(values, "replaces"),
                cipher=ctx.cipher,
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    model = PROFILES.get(device.profile)
    return show(
        request,
        "credential.html",
        now,
        device=device,
        secret=secret,
        replaced=bool(values.get("replaces")),
        topics=[f"{PROTOCOL_PREFIX}/{device.id}/…"]
        + [f"{base}/…" for base in (model.bridge_topics(device.id) if model else ())],
    )


@router.get(CREDENTIAL)
async def seen_once(device: DeviceToRead) -> Response:
    """Whoever comes back to the address of the secret finds the device's page."""
    return see_other(path_of(device.id))


@router.post(CREDENTIAL + "/revoke")
async def revoke(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """End the secret."""
    values = await form_values(request)
    seen = uuid_in(values, "revokes")
    if seen is None:
        raise NotFound("There is no such credential.", device_id=device.id)
    try:
        async with ctx.db.transaction() as tx:
            await access.revoke_credential(tx, device.no, revokes=seen, actor=actor, now=now)
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    return done(device.id, "revoked")


@router.get(NAMES)
async def names(request: Request, device: DeviceToChange, ctx: Context, now: Now) -> Response:
    """The device's names, to change them."""
    return await _names(request, ctx, now, device)


@router.post(NAMES)
async def add_name(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Let the device be known by another name."""
    values = await form_values(request)
    codec, address = values.get("codec", ""), values.get("address", "")
    try:
        async with ctx.db.transaction() as tx:
            await access.add_alias(tx, device.no, codec, address, actor=actor, now=now)
    except Invalid as error:
        return await _names(request, ctx, now, device, values, error.fields)
    return see_other(f"{path_of(device.id)}/names?done=added")


@router.post(NAMES + "/remove")
async def remove_name(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Take a name away."""
    values = await form_values(request)
    codec, address = values.get("codec", ""), values.get("address", "")
    async with ctx.db.transaction() as tx:
        await access.remove_alias(tx, device.no, codec, address, actor=actor, now=now)
    return see_other(f"{path_of(device.id)}/names?done=removed")


async def _names(
    request: Request,
    ctx: WebContext,
    now: datetime,
    device: Device,
    values: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    model = PROFILES.get(device.profile)
    async with ctx.db.connection() as conn:
        aliases = await history_store.aliases(conn, device.no)
    return show(
        request,
        "names.html",
        now,
        status=422 if wrong else 200,
        device=device,
        aliases=aliases,
        codecs=[(codec.name, codec.title) for codec in CODECS.values()],
        values={"codec": model.codec if model else ""} | dict(values or {}),
        errors=words.errors_of(wrong or {}, words_of(request, now)),
        done=request.query_params.get("done", ""),
    )
