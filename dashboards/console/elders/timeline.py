"""One timeline of an elder: which kinds there are, who may see them, and where a page ends."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from dashboards.console.elders import store
from dashboards.console.elders.store import Moment
from dashboards.ui.i18n import N_
from kernel.auth.model import Actor, Permission
from kernel.db import Tx

PER_PAGE = 30

# What the tabs show, by name: the label, and the kinds of moments.
SHOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "all": (N_("全部"), ()),
    "incidents": (N_("警情"), ("incident", "activation")),
    "calls": (N_("呼叫与短信"), ("call",)),
    "devices": (N_("设备"), ("bound", "unbound")),
    "notes": (N_("备注"), ("note",)),
    "consents": (N_("同意"), ("consent", "withdrawal")),
}


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A part of the timeline; `after` is the place to go on from, "" at the end."""

    show: str
    tabs: tuple[tuple[str, str], ...]
    moments: tuple[Moment, ...]
    after: str


def kinds_for(actor: Actor) -> frozenset[str]:
    """Return the kinds of moments that the person's roles may see."""
    kinds = {"consent", "withdrawal"}
    if actor.may(Permission.INCIDENT_READ):
        kinds |= {"incident", "activation", "call"}
    if actor.may(Permission.DEVICE_READ):
        kinds |= {"bound", "unbound"}
    if actor.may(Permission.ELDER_REVEAL) or actor.may(Permission.ELDER_WRITE):
        kinds |= {"note"}
    return frozenset(kinds)


def mark_of(moment: Moment) -> str:
    """Return the place of a moment as a word for a URL."""
    return f"{moment.at.isoformat()}~{moment.kind}~{moment.ref}"


def place_of(mark: str) -> tuple[datetime, str, str] | None:
    """Read a place; None when it is none."""
    parts = mark.split("~")
    try:
        at = datetime.fromisoformat(parts[0])
    except ValueError:
        return None
    return (at, parts[1], parts[2]) if len(parts) == 3 and at.tzinfo else None


async def read(
    tx: Tx, actor: Actor, elder_id: uuid.UUID, show: str, before: str = ""
) -> TimelinePage:
    """Return a part of the timeline as the person may see it."""
    allowed = kinds_for(actor)
    tabs = tuple(
        (name, label) for name, (label, kinds) in SHOWN.items() if not kinds or allowed & set(kinds)
    )
    show = show if show in dict(tabs) else "all"
    wanted = allowed & set(SHOWN[show][1]) if show != "all" else allowed
    found = await store.moments(
        tx, elder_id, wanted, before=place_of(before) if before else None, limit=PER_PAGE + 1
    )
    page = tuple(found[:PER_PAGE])
    after = mark_of(page[-1]) if len(found) > PER_PAGE else ""
    return TimelinePage(show, tabs, page, after)
