"""One incident as its page shows it: what may be done and is next, who was reached, what was said.

Pure: everything that it is made of was read before. The parts of the page that follow the live feed
are made from this alone; the elder's card is beside it and does not change under the hand.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dashboards.console.elders.store import OpenIncident
from dashboards.console.incidents.moments import Moment, Question
from dashboards.console.incidents.people import handles, needs_all
from dashboards.console.incidents.words import nearness, skill_words
from dashboards.ui.i18n import Translator
from dashboards.ui.words import word
from devices.alarms import Severity
from devices.profiles import PROFILES
from devices.registry.model import Device
from hotline.board.model import AttemptRow, IncidentPage
from hotline.contacts.machine import FINAL, UNREACHED
from hotline.contacts.model import AttemptStatus, Channel, Purpose
from hotline.dispatch.machine import FINAL as DISPATCH_OVER
from hotline.dispatch.machine import NEXT as DISPATCH_NEXT
from hotline.dispatch.model import Dispatch
from hotline.escalation import rules
from hotline.escalation.model import DeadlineKind
from hotline.incidents.machine import RIGHTS, Who
from hotline.incidents.model import Action, Incident, Status
from hotline.responders.model import Suggestion
from kernel.auth.model import Actor, Permission

CALL, NOTE, TAKE = "call", "note", "take"
_LOUD = frozenset({Severity.CRITICAL, Severity.MAJOR})
_NEXT: Mapping[Status, str] = {
    Status.OPEN: Action.ACKNOWLEDGE,
    Status.ACKNOWLEDGED: Action.DISPATCH,
    Status.DISPATCHED: Action.ARRIVE,
    Status.ON_SCENE: Action.RESOLVE,
}


@dataclass(frozen=True, slots=True)
class Reach:
    """A call or a text as it stands: `live` while it is under way."""

    id: uuid.UUID
    at: datetime
    channel: str
    status: str
    tone: str
    live: bool
    key: str
    by: str


@dataclass(frozen=True, slots=True)
class Suggested:
    """A responder who could be sent, with the reasons in words."""

    who: Suggestion
    near: str
    matched: list[str]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A responder who was sent: the steps with (label, state, when), and whether it goes on."""

    dispatch: Dispatch
    steps: tuple[tuple[str, str, datetime | None], ...]
    going: bool
    reached: tuple[Reach, ...]
    link: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """A device of the elder, or the one that fired; `type` is a code of DeviceType."""

    device: Device
    type: str
    fired: bool


@dataclass(frozen=True, slots=True)
class IncidentView:
    """What the templates ask. `shown` is whether personal data is in plain text; `can` holds codes
    of actions, `primary` the one that is next for this person ("" when somebody else has it);
    `others` are further incidents of the same elder that are not resolved.
    """

    page: IncidentPage
    path: str
    acts: bool
    shown: bool
    mine: bool
    can: frozenset[str]
    primary: str
    since: datetime
    limits: tuple[int, ...]
    next_escalation: datetime | None
    steps: tuple[tuple[str, str], ...]
    reach: Mapping[str, tuple[Reach, ...]]
    dispatches: tuple[Sent, ...]
    moments: tuple[Moment, ...]
    questions: tuple[Question, ...]
    detail: str
    suggested: tuple[Suggested, ...] = ()
    instruments: tuple[Instrument, ...] = ()
    others: tuple[OpenIncident, ...] = ()
    markers: tuple[Mapping[str, object], ...] = field(default_factory=tuple)

    @property
    def revision(self) -> int:
        """A number that grows with every line of the timeline: of two parts the newer wins."""
        return self.page.events[-1].seq if self.page.events else 0

    @property
    def incident(self) -> Incident:
        """The incident itself."""
        return self.page.incident

    def reached(self, key: object) -> tuple[Reach, ...]:
        """Return the attempts to somebody, the newest first."""
        return self.reach.get(str(key), ())


def possible(actor: Actor, page: IncidentPage) -> frozenset[str]:
    """Return what this person may do to the incident now, as codes."""
    incident = page.incident
    if not actor.may(Permission.INCIDENT_HANDLE):
        return frozenset()
    acts = handles(actor, incident)
    found: set[str] = {NOTE}
    for code in page.actions:
        right = RIGHTS[Action(code)]
        if actor.may(right.permission) and (right.who is Who.ANYONE or acts):
            found.add(code)
    if acts and incident.status is not Status.RESOLVED:
        # Calling somebody and sending somebody claims an incident that nobody has.
        found |= {Action.DISPATCH} | ({CALL} if incident.elder_id else set())
    held_by_other = incident.acknowledged_by not in (None, actor.user_id)
    if held_by_other and Action.HAND_OVER in found:
        found.add(TAKE)
    return frozenset(found)


def next_step(incident: Incident, can: frozenset[str], actor: Actor) -> str:
    """Return the one action that is big: the next of the lifecycle for whoever has it."""
    if incident.acknowledged_by not in (None, actor.user_id):
        return ""
    step = _NEXT.get(incident.status, "")
    if incident.status is Status.ACKNOWLEDGED and incident.severity not in _LOUD:
        # Nobody drives out for a flat battery before somebody has asked.
        step = Action.RESOLVE
    return step if step in can else ""


def shown_to(actor: Actor, incident: Incident, revealed: bool) -> bool:
    """True when personal data is in plain text: the work needs it, or somebody asked to see it."""
    return needs_all(actor, incident) or (revealed and actor.may(Permission.ELDER_REVEAL))


def waiting(page: IncidentPage) -> tuple[datetime, tuple[int, ...]]:
    """Return since when it stands in its status, and after how many seconds that is too long."""
    incident = page.incident
    policy = rules.parse_policy(incident.escalation_policy)
    limit = policy.limits.get(incident.status)
    since = {
        Status.ACKNOWLEDGED: incident.acknowledged_at,
        Status.DISPATCHED: incident.dispatched_at,
        Status.ON_SCENE: incident.on_scene_at,
    }.get(incident.status)
    if incident.status is Status.OPEN:
        released = [one.at for one in page.events if one.kind == "incident.released"]
        since = released[-1] if released else incident.opened_at
    return since or incident.opened_at, (limit,) if limit else ()


def next_escalation(page: IncidentPage) -> datetime | None:
    """Return when the next step of the escalation is due, None when none is."""
    due = [one.due_at for one in page.deadlines if one.kind is DeadlineKind.ESCALATE]
    return min(due, default=None)


def lifecycle(incident: Incident, tr: Translator) -> tuple[tuple[str, str], ...]:
    """Return the steps of the lifecycle with done, current or ""; what was skipped is ""."""
    stamps = {
        Status.OPEN: incident.opened_at,
        Status.ACKNOWLEDGED: incident.first_acknowledged_at,
        Status.DISPATCHED: incident.dispatched_at,
        Status.ON_SCENE: incident.on_scene_at,
        Status.RESOLVED: incident.resolved_at,
    }
    order = list(stamps)
    now = order.index(incident.status)
    found = []
    for place, (status, stamp) in enumerate(stamps.items()):
        state = "current" if place == now else "done" if place < now and stamp else ""
        found.append((word(status.value, "incident_status", tr), state))
    return tuple(found)


def reached_by(attempts: Iterable[AttemptRow], tr: Translator) -> dict[str, tuple[Reach, ...]]:
    """Return the attempts by whom they went to: elder, duty, a contact's or a dispatch's id."""
    found: dict[str, list[Reach]] = {}
    for one in attempts:
        if one.purpose in {Purpose.ELDER, Purpose.DUTY}:
            key = one.purpose
        else:
            key = str(one.contact_id or one.dispatch_id)
        found.setdefault(key, []).insert(0, _reach(one, tr))
    return {key: tuple(rows) for key, rows in found.items()}


def _reach(one: AttemptRow, tr: Translator) -> Reach:
    status = AttemptStatus(one.status)
    tone = "warn" if status in UNREACHED else "good" if status in FINAL else "accent"
    if one.channel == Channel.CALL and one.digits == "3":
        tone = "warn"
    return Reach(
        id=one.id,
        at=one.created_at,
        channel=one.channel,
        status=word(status.value, "attempt_status", tr),
        tone=tone,
        live=status not in FINAL and one.channel == Channel.CALL,
        key=word(one.digits, "phone_key", tr) if one.digits else "",
        by=one.created_by_name or "",
    )


def sent_out(
    dispatches: Sequence[Dispatch],
    reach: Mapping[str, tuple[Reach, ...]],
    links: Mapping[uuid.UUID, str],
    tr: Translator,
) -> tuple[Sent, ...]:
    """Return who was sent, those who still go first, the newest before older ones."""
    found = [
        Sent(
            one,
            _way(one, tr),
            one.status not in DISPATCH_OVER,
            reach.get(str(one.id), ()),
            links.get(one.id, ""),
        )
        for one in reversed(dispatches)
    ]
    return tuple(sorted(found, key=lambda sent: not sent.going))


def _way(one: Dispatch, tr: Translator) -> tuple[tuple[str, str, datetime | None], ...]:
    stamps = {
        "notified": one.notified_at,
        "accepted": one.accepted_at,
        "en_route": one.en_route_at,
        "on_scene": one.on_scene_at,
        "completed": one.completed_at,
    }
    goes_on = one.status in DISPATCH_NEXT
    found = []
    for code, stamp in stamps.items():
        state = "current" if goes_on and code == one.status.value else "done" if stamp else ""
        found.append((word(code, "dispatch_status", tr), state, stamp))
    return tuple(found)


def suggestions(found: Iterable[Suggestion], tr: Translator) -> tuple[Suggested, ...]:
    """Return who could be sent, with the reasons in words."""
    return tuple(
        Suggested(
            one, nearness(one, tr), skill_words(one.matched, tr), skill_words(one.missing, tr)
        )
        for one in found
    )


def instruments(devices: Iterable[Device], fired_no: int | None) -> tuple[Instrument, ...]:
    """Return the devices, the one that fired first."""
    found = []
    for one in devices:
        profile = PROFILES.get(one.profile)
        kind = profile.type.value if profile else "other"
        found.append(Instrument(one, kind, one.no == fired_no))
    return tuple(sorted(found, key=lambda each: (not each.fired, each.device.id)))


_RUNNING = re.compile(
    r'(<time datetime="[^"]*")[^<]*'
    r'|(<span class="clock"[^>]*data-since="[^"]*").*?</span></span>',
    re.S,
)


def digest(html: str) -> str:
    """Return what a part says without what runs by itself in the browser: an unchanged part is not
    put in place again, so that nothing moves under the hand.
    """
    still = _RUNNING.sub(lambda match: match[1] or match[2], html)
    return hashlib.blake2s(still.encode(), digest_size=8).hexdigest()
