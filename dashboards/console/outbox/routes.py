"""What the workers have given up: list, page, try again, discard. With a reason, on record."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from dashboards.console.outbox import words
from dashboards.console.show import show, words_of
from dashboards.ui.listing import Listing
from kernel import given_up
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext, get_context, get_now

ROOT = "/console/outbox"
router = APIRouter()
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Admin = Annotated[Actor, Depends(requires(Permission.SETTINGS_WRITE))]
# What was done, from the address; the words are in the templates.
DONE = frozenset({"retried", "discarded", "gone"})


@router.get(ROOT)
async def items(request: Request, actor: Admin, ctx: Context, now: Now) -> Response:
    """The list, by topic."""
    del actor
    return await _list(request, ctx, now, {})


async def _list(
    request: Request, ctx: WebContext, now: datetime, errors: Mapping[str, str], typed: str = ""
) -> Response:
    query = request.query_params
    listing = Listing.from_query(ROOT, query, sorts=("-dead",), filters=("topic",))
    topic = listing.filters.get("topic", "")
    async with ctx.db.connection() as conn:
        rows, total = await given_up.page(conn, topic, listing.page, per_page=listing.per_page)
        listing = listing.of(total)
        if total and not rows:
            rows, _ = await given_up.page(conn, topic, listing.page, per_page=listing.per_page)
        topics = await given_up.topics(conn)
    tr = words_of(request, now)
    done, asked = query.get("done", ""), query.get("n", "")
    return show(
        request,
        "console/outbox/list.html",
        now,
        status=422 if errors else 200,
        root=ROOT,
        listing=listing,
        rows=rows,
        topic=topic,
        topics=[(code, f"{words.topic_label(code, tr)} ({count})") for code, count in topics],
        topic_label=lambda code: words.topic_label(code, tr),
        most=given_up.MOST_AT_ONCE,
        done=done if done in DONE else "",
        asked=int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1,
        errors=errors,
        typed=typed,
    )


@router.post(f"{ROOT}/retry")
async def retry_all(request: Request, actor: Admin, ctx: Context, now: Now) -> Response:
    """Try everything of a topic again."""
    form = await request.form()
    topic, reason = str(form.get("topic", "")), str(form.get("reason", ""))
    try:
        async with ctx.db.transaction() as tx:
            tried = await given_up.retry_all(
                tx, topic.replace("\0", ""), reason=reason, actor=actor, now=now
            )
    except Invalid as error:
        return await _list(request, ctx, now, _errors(request, now, error), reason)
    return RedirectResponse(f"{ROOT}?{urlencode({'done': 'retried', 'n': tried})}", 303)


@router.get(ROOT + "/{item_id}")
async def item(
    request: Request, item_id: uuid.UUID, actor: Admin, ctx: Context, now: Now
) -> Response:
    """One of them."""
    del actor
    return await _page(request, ctx, now, item_id, {}, {})


async def _page(
    request: Request,
    ctx: WebContext,
    now: datetime,
    item_id: uuid.UUID,
    errors: Mapping[str, str],
    typed: Mapping[str, str],
) -> Response:
    async with ctx.db.connection() as conn:
        found = await given_up.get(conn, item_id)
    tr = words_of(request, now)
    return show(
        request,
        "console/outbox/item.html",
        now,
        status=422 if errors else 200,
        root=ROOT,
        item=found,
        label=words.topic_label(found.topic, tr),
        again=words.again(found.topic, tr),
        errors=errors,
        typed=typed,
    )


@router.post(ROOT + "/{item_id}/retry")
async def retry(
    request: Request, item_id: uuid.UUID, actor: Admin, ctx: Context, now: Now
) -> Response:
    """Try it again."""
    return await _settle(request, ctx, actor, now, item_id, given_up.retry, "retried", "reason")


@router.post(ROOT + "/{item_id}/discard")
async def discard(
    request: Request, item_id: uuid.UUID, actor: Admin, ctx: Context, now: Now
) -> Response:
    """Put it away for good."""
    return await _settle(request, ctx, actor, now, item_id, given_up.discard, "discarded", "why")


async def _settle(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    item_id: uuid.UUID,
    do: Callable[..., Awaitable[None]],
    done: str,
    field: str,
) -> Response:
    reason = str((await request.form()).get(field, ""))
    try:
        async with ctx.db.transaction() as tx:
            await do(tx, item_id, reason=reason, actor=actor, now=now)
    except Invalid as error:
        [sentence] = _errors(request, now, error).values()
        return await _page(request, ctx, now, item_id, {field: sentence}, {field: reason})
    except Conflict:
        return RedirectResponse(f"{ROOT}?done=gone", 303)
    return RedirectResponse(f"{ROOT}?done={done}", 303)


def _errors(request: Request, now: datetime, error: Invalid) -> dict[str, str]:
    tr = words_of(request, now)
    return {name: tr.gettext(words.PROBLEMS[code]) for name, code in error.fields.items()}
