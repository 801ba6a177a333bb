"""What the pages of this part share: who may, what was typed, divisions, accounts, refusals."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from dashboards.console.account.words import PROBLEMS as ACCOUNT_PROBLEMS
from dashboards.console.responders.words import PROBLEMS
from dashboards.console.show import show, words_of
from dashboards.console.users.forms import division_choices, resolve_division, short_code
from dashboards.ui.i18n import N_, Translator
from hotline.contacts.model import PHONE
from hotline.responders import roster
from hotline.responders.roster_store import Account
from kernel import divisions
from kernel.auth import web
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher, mask_phone
from kernel.db import Tx
from kernel.errors import Invalid
from kernel.web import WebContext, get_context, get_now

Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]


async def _manager(actor: Annotated[Actor, Depends(web.current_actor)]) -> Actor:
    roster.refuse(roster.may_manage(actor))
    return actor


async def _viewer(actor: Annotated[Actor, Depends(web.current_actor)]) -> Actor:
    roster.refuse(roster.may_see(actor))
    return actor


# The administrator or the supervisor; one permission alone could not say this.
Manager = Annotated[Actor, Depends(_manager)]
Viewer = Annotated[Actor, Depends(_viewer)]
Form = Mapping[str, str]


def errors_of(error: Invalid, tr: Translator) -> dict[str, str]:
    """Return {field: sentence} for a form that was refused."""
    problems: Mapping[str, str] = error.facts.get("problems", {})
    known = {**ACCOUNT_PROBLEMS, **PROBLEMS}
    return {name: tr.gettext(known[code]) for name, code in problems.items()}


async def division_of(tx: Tx, actor: Actor, typed: str) -> str:
    """Return the prefix that a code or a name means. Raises Invalid for what means none."""
    prefix, problem = await resolve_division(tx, actor, typed)
    if problem:
        raise Invalid("The division is not known.", problems={"division": problem})
    return prefix


async def choices(tx: Tx, actor: Actor) -> list[tuple[str, str]]:
    """Return the divisions that the field offers."""
    return [(short_code(one), one.name) for one in await division_choices(tx, actor)]


async def places(tx: Tx, prefixes: set[str], tr: Translator) -> dict[str, str]:
    """Return prefix → full name, "" is the whole country."""
    names = await divisions.path_names(tx, {divisions.pad(one) for one in prefixes if one})
    found = {one: names.get(divisions.pad(one), one) or one for one in prefixes if one}
    return found | {"": tr.gettext(N_("全国"))}


def account_options(
    found: list[Account], tr: Translator, kept: tuple[uuid.UUID, str] | None = None
) -> list[tuple[str, str]]:
    """Return (id, name) for a select, with none, and with the one that is set already."""
    options = [("", tr.gettext(N_("不关联账号")))]
    options += [(str(one.id), f"{one.display_name} · {one.username}") for one in found]
    if kept and str(kept[0]) not in dict(options):
        options.append((str(kept[0]), kept[1]))
    return options


def masked(cipher: FieldCipher, box: bytes) -> str:
    """Return a number with its middle hidden."""
    return mask_phone(cipher.decrypt(PHONE, bytes(box)))


def status_of(errors: Mapping[str, str]) -> int:
    """Return the status of a page with a form."""
    return HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK


def overtaken(request: Request, now: datetime) -> Response:
    """Tell that somebody else was faster."""
    sentence = words_of(request, now).gettext(
        N_("这一条刚刚被别人修改过，没有覆盖对方的修改。请重新打开这一页再改。")
    )
    return show(request, "console/error.html", now, status=HTTPStatus.CONFLICT, sentence=sentence)
