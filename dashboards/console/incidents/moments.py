"""The timeline's lines and the guided questions, as the page shows them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboards.console.incidents.words import ANSWER, ASKED
from dashboards.console.timeline import sentence
from dashboards.ui.i18n import N_, Translator
from devices.alarms import AlarmKind, Severity
from hotline.incidents.guidance import QUESTIONS
from hotline.incidents.model import Event, Incident
from kernel.auth.model import SYSTEM

_ICONS: Mapping[str, str] = {
    "incident.opened": "alarm",
    "incident.repeated": "bell-ringing",
    "incident.tested": "test-pipe",
    "incident.severity_raised": "chevron-up",
    "incident.escalated": "bell-ringing",
    "incident.acknowledged": "check",
    "incident.released": "refresh",
    "incident.handed_over": "users",
    "incident.dispatched": "ambulance",
    "incident.stood_down": "arrow-left",
    "incident.on_scene": "map-pin",
    "incident.resolved": "shield-check",
    "incident.reopened": "history",
    "condition.cleared": "info-circle",
    "contact.called": "phone-outgoing",
    "contact.texted": "message",
    "contact.pressed": "keyboard",
    "contact.ended": "phone",
    "note.added": "note",
    "dispatch.note": "note",
}
_GOOD = frozenset({"incident.on_scene", "incident.resolved", "dispatch.on_scene"})


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline. `after_s` counts from the opening; `photo` is a photo's id."""

    at: datetime
    after_s: float
    who: str
    text: str
    icon: str
    tone: str
    photo: str


@dataclass(frozen=True, slots=True)
class Question:
    """A line of the checklist. `number` is its place from 1; `answer` and `who` once it was asked,
    `current` on the first that was not.
    """

    number: int
    text: str
    asked_at: datetime | None = None
    who: str = ""
    answer: str = ""
    current: bool = False


def asked_text(kind: AlarmKind, number: int, answer: str) -> str | None:
    """Return the note for a question of the kind that was asked; None when there is none."""
    if not 1 <= number <= len(QUESTIONS[kind]):
        return None
    said = answer.strip()
    return ASKED + QUESTIONS[kind][number - 1] + (ANSWER + said if said else "")


def _read_asked(kind: AlarmKind, text: str) -> tuple[int, str] | None:
    if not text.startswith(ASKED):
        return None
    rest = text.removeprefix(ASKED)
    for number, question in enumerate(QUESTIONS[kind], 1):
        if rest == question:
            return number, ""
        if rest.startswith(question + ANSWER):
            return number, rest.removeprefix(question + ANSWER)
    return None


def checklist(kind: AlarmKind, events: Iterable[Event], tr: Translator) -> tuple[Question, ...]:
    """Return the questions of the kind with what was answered; the last answer counts."""
    said: dict[int, tuple[Event, str]] = {}
    for event in events:
        if event.kind == "note.added":
            found = _read_asked(kind, str(event.data.get("text", "")))
            if found is not None:
                said[found[0]] = (event, found[1])
    texts = QUESTIONS[kind]
    first_open = next((n for n in range(1, len(texts) + 1) if n not in said), 0)
    questions = []
    for number, text in enumerate(texts, 1):
        if number in said:
            event, answer = said[number]
            asked = Question(number, tr.gettext(text), event.at, event.actor_name, answer)
            questions.append(asked)
        else:
            current = number == first_open
            questions.append(Question(number, tr.gettext(text), current=current))
    return tuple(questions)


def moments(incident: Incident, events: Sequence[Event], tr: Translator) -> tuple[Moment, ...]:
    """Return the timeline, the newest first."""
    return tuple(_moment(incident, event, tr) for event in reversed(events))


def _moment(incident: Incident, event: Event, tr: Translator) -> Moment:
    loud = event.kind == "incident.escalated" or (
        event.kind in {"incident.opened", "incident.repeated"}
        and incident.severity is Severity.CRITICAL
    )
    system = event.actor_id is None and event.actor_name == SYSTEM.display_name
    return Moment(
        at=event.at,
        after_s=max(0.0, (event.at - incident.opened_at).total_seconds()),
        who=tr.gettext("系统") if system else event.actor_name,
        text=_text(incident, event, tr),
        icon=_ICONS.get(event.kind, "ambulance" if event.kind.startswith("dispatch.") else "clock"),
        tone="critical" if loud else "good" if event.kind in _GOOD else "",
        photo=str(event.data.get("photo", "")) if event.kind == "dispatch.photo" else "",
    )


def _text(incident: Incident, event: Event, tr: Translator) -> str:
    if event.kind == "note.added":
        found = _read_asked(incident.kind, str(event.data.get("text", "")))
        if found is not None:
            number, answer = found
            question = tr.gettext(QUESTIONS[incident.kind][number - 1])
            said = f"{tr.gettext(ANSWER)}{answer}" if answer else ""
            return f"{tr.gettext(ASKED)}{question}{said}"
    said = sentence(event, tr)
    # Who has arrived is the operator's own word; the sentence of the step has no place for it.
    note = event.data.get("note") if event.kind == "incident.on_scene" else None
    if not note:
        return said
    return tr.gettext(N_("%(what)s：%(note)s")) % {"what": said, "note": note}
