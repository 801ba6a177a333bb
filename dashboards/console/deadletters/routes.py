"""The dead letters: list, replay of everything that a filter finds, page, replay, discard."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.console.deadletters import words
from dashboards.console.deadletters.payloads import shown
from dashboards.console.sealed import elsewhere, plain, sealed, sent_on
from dashboards.console.show import show as show_page
from dashboards.console.show import words_of
from dashboards.console.typed import form_values, see_other
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.listing import Listing
from devices.codecs import CODECS, silverline_v1
from devices.registry import store as registry
from devices.registry.model import Address
from ingest.deadletters import service, store
from ingest.deadletters.model import DeadLetter, Filters, ReasonCount
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.web import WebContext, get_context, get_now

ROOT = "/console/dead-letters"
router = APIRouter()
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Reader = Annotated[Actor, Depends(requires(Permission.DEAD_LETTER_READ))]
Writer = Annotated[
    Actor, Depends(requires(Permission.DEAD_LETTER_READ, Permission.DEAD_LETTER_WRITE))
]
SORTS = ("-last",)
FILTERS = ("q", "reason", "transport", "status")
STATUSES = ("open", "requested", "replayed", "discarded", "all")


def show(
    request: Request, template: str, now: datetime, *, status: int = 200, **values: Any
) -> Response:
    """Render `console/deadletters/<template>` for the person."""
    tr = words_of(request, now)
    actor: Actor = request.state.actor
    return show_page(
        request,
        f"console/deadletters/{template}",
        now,
        status=status,
        may_write=actor.may(Permission.DEAD_LETTER_WRITE),
        may_register=actor.may(Permission.DEVICE_WRITE),
        reason_label=lambda code: words.label(words.REASON, code, tr),
        status_label=lambda code: words.label(words.STATUS, code, tr),
        status_tone=words.TONE,
        transport_label=lambda code: words.label(words.TRANSPORT, code, tr),
        root=ROOT,
        **values,
    )


def filters_of(query: Mapping[str, str], actor: Actor) -> Filters:
    """Return the filters of a URL within the person's division; without a status, open ones."""
    status = query.get("status", "")
    return Filters(
        status=status if status in STATUSES else "open",
        reason=query.get("reason", "").replace("\0", ""),
        text=query.get("q", "").replace("\0", "").strip(),
        transport=query.get("transport", "") if query.get("transport") in words.TRANSPORT else "",
        scope=actor.division,
    )


@router.post(f"{ROOT}/find")
async def find(request: Request, actor: Reader, ctx: Context) -> Response:
    """Search and filter: on to the list, whose address names nobody."""
    return await sent_on(request, ctx.cipher, actor, ROOT, sorts=SORTS, filters=FILTERS)


@router.get(ROOT)
async def letters(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The list, filtered by the URL."""
    listing = Listing.from_query(ROOT, request.query_params, sorts=SORTS, filters=FILTERS)
    if address := elsewhere(ctx.cipher, actor, listing):
        return see_other(address)
    filters = filters_of(plain(ctx.cipher, actor, listing), actor)
    async with ctx.db.connection() as conn:
        found = await service.find(conn, filters, listing.page, per_page=listing.per_page)
        listing = listing.of(found.total)
        if found.total and not found.letters:
            # Somebody asked for a page behind the end.
            found = await service.find(conn, filters, listing.page, per_page=listing.per_page)
        counts = await service.by_reason(conn, actor.division)
        senders = await senders_of(conn, found.letters)
    tr = words_of(request, now)
    return show(
        request,
        "list.html",
        now,
        listing=listing,
        rows=found.letters,
        senders=senders,
        filters=filters,
        narrowed=bool(filters.reason or filters.text or filters.transport),
        tabs=_tabs(listing, filters, counts, tr),
        reasons=_reasons(counts, filters.reason, tr),
        transports=list(words.TRANSPORT.items()),
        asked=_number(request.query_params.get("asked", "")),
    )


def _tabs(
    listing: Listing, filters: Filters, counts: Sequence[ReasonCount], tr: Translator
) -> list[tuple[str, str, bool, int | None]]:
    """Return (address, label, current, count) of each status; only the open ones are counted."""
    found: list[tuple[str, str, bool, int | None]] = []
    for status in STATUSES:
        text = tr.gettext(N_("全部")) if status == "all" else words.label(words.STATUS, status, tr)
        count = sum(each.letters for each in counts) if status == "open" else None
        address = listing.url(status="" if status == "open" else status, sort=None)
        found.append((address, text, filters.status == status, count))
    return found


def _reasons(counts: Sequence[ReasonCount], chosen: str, tr: Translator) -> list[tuple[str, str]]:
    """Return (code, label) of the reasons that there are, the most frequent first."""
    codes = dict.fromkeys([*(each.reason for each in counts), *words.REASON])
    if chosen:
        codes.setdefault(chosen)
    return [(code, words.label(words.REASON, code, tr)) for code in codes]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def sender_of(letter: DeadLetter) -> Address | None:
    """Return under which name the device spoke: the decoder's word, else our protocol's topic."""
    if letter.codec is None:
        return None
    address = letter.address
    if not address and letter.codec == silverline_v1.CODEC.name:
        address = (letter.topic.split("/") + [""] * 3)[2]
    return Address(letter.codec, address) if address else None


async def senders_of(tx: Tx, found: Sequence[DeadLetter]) -> dict[uuid.UUID, str]:
    """Return the registered device that each letter is from, where there is one."""
    addresses = {letter.id: sender_of(letter) for letter in found}
    known = await registry.resolve(tx, [each for each in addresses.values() if each])
    return {
        letter_id: known[address].id
        for letter_id, address in addresses.items()
        if address is not None and address in known
    }


@router.post(f"{ROOT}/replay")
async def replay_all(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Have everything replayed that the filter finds among the open ones."""
    form = await form_values(request)
    values = {name: form.get(name, "") for name in ("q", "reason", "transport")}
    async with ctx.db.transaction() as tx:
        asked = await service.request_replay_of_all(
            tx, filters_of(values, actor), actor=actor, now=now
        )
    values["q"] = sealed(ctx.cipher, actor, values["q"])
    query = {name: value for name, value in values.items() if value} | {"asked": str(asked)}
    return see_other(f"{ROOT}?{urlencode(query)}")


@router.get(ROOT + "/{letter_id}")
async def letter_page(
    request: Request, letter_id: uuid.UUID, actor: Reader, ctx: Context, now: Now
) -> Response:
    """A letter with its payload; the look is in the audit log."""
    async with ctx.db.transaction() as tx:
        letter = await service.read(tx, letter_id, actor=actor, now=now)
    return await _page(request, ctx, now, letter)


@router.get(ROOT + "/{letter_id}/status")
async def letter_status(
    request: Request, letter_id: uuid.UUID, actor: Reader, ctx: Context, now: Now
) -> Response:
    """The part of the page that changes while a worker replays the letter."""
    async with ctx.db.connection() as conn:
        letter = await store.get(conn, letter_id, scope=actor.division)
        if letter is None:
            raise NotFound("There is no such dead letter.", id=str(letter_id))
        people = await _people(conn, letter)
    return show(request, "status.html", now, **_status_values(request, now, letter, people))


@router.post(ROOT + "/{letter_id}/replay")
async def replay(
    request: Request, letter_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Have a worker take the frame through the pipeline again."""
    try:
        async with ctx.db.transaction() as tx:
            await service.request_replay(tx, letter_id, actor=actor, now=now)
    except Conflict as error:
        return await _settled(request, ctx, now, letter_id, error)
    return see_other(f"{ROOT}/{letter_id}#status")


@router.post(ROOT + "/{letter_id}/discard")
async def discard(
    request: Request, letter_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Put it away for good, with a note."""
    form = await request.form()
    note = str(form.get("note", "")).replace("\0", "").strip()
    try:
        async with ctx.db.transaction() as tx:
            await service.discard(tx, letter_id, actor=actor, now=now, note=note)
    except Conflict as error:
        return await _settled(request, ctx, now, letter_id, error)
    except Invalid:
        async with ctx.db.transaction() as tx:
            letter = await service.read(tx, letter_id, actor=actor, now=now)
        sentence = words_of(request, now).gettext(N_("备注最长 200 个字"))
        return await _page(request, ctx, now, letter, note=note, errors={"note": sentence})
    return see_other(f"{ROOT}/{letter_id}")


async def _settled(
    request: Request, ctx: WebContext, now: datetime, letter_id: uuid.UUID, error: Conflict
) -> Response:
    """Say what somebody else has done with the letter; nothing was changed."""
    actor: Actor = request.state.actor
    async with ctx.db.transaction() as tx:
        letter = await service.read(tx, letter_id, actor=actor, now=now)
    return await _page(request, ctx, now, letter, conflict=True, status=error.status)


async def _people(tx: Tx, letter: DeadLetter) -> dict[str, str]:
    """Return the names of who asked for the replay and who discarded."""
    found = {"replayed": letter.replayed_by, "discarded": letter.discarded_by}
    return {
        name: await store.person_name(tx, user_id) if user_id else ""
        for name, user_id in found.items()
    }


def _status_values(
    request: Request, now: datetime, letter: DeadLetter, people: Mapping[str, str]
) -> dict[str, Any]:
    tr = words_of(request, now)
    return {
        "letter": letter,
        "people": people,
        "replay_result": words.replay_result(letter.replay_note, tr),
        "advice": words.advice(letter.reason, tr),
    }


async def _page(
    request: Request,
    ctx: WebContext,
    now: datetime,
    letter: DeadLetter,
    *,
    note: str = "",
    errors: Mapping[str, str] | None = None,
    conflict: bool = False,
    status: int = 200,
) -> Response:
    async with ctx.db.connection() as conn:
        people = await _people(conn, letter)
        senders = await senders_of(conn, [letter])
    codec = CODECS.get(letter.codec or "")
    return show(
        request,
        "letter.html",
        now,
        status=422 if errors else status,
        sender=senders.get(letter.id, ""),
        address=sender_of(letter),
        codec_title=codec.title if codec else "",
        payload=shown(letter.payload),
        note=note,
        errors=errors or {},
        conflict=conflict,
        register_query=_register_query(letter),
        **_status_values(request, now, letter, people),
    )


def _register_query(letter: DeadLetter) -> str:
    """Return the query that fills the form for a device that nobody has registered."""
    address = sender_of(letter)
    if letter.reason != "unknown_device" or address is None:
        return ""
    if address.codec == silverline_v1.CODEC.name:
        return urlencode({"device_id": address.address})
    return urlencode({"codec": address.codec, "address": address.address})
