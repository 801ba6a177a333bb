"""One step of an incident's life, for every use case of this wing: lock, check, move, tell.

The row's lock is taken before anything else of the incident (deadlines, dispatches, attempts), the
same order for everybody.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from devices.alarms import Severity
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.escalation.model import DeadlineKind
from hotline.incidents import machine, store
from hotline.incidents.model import Action, Incident, Resolution, Status
from kernel.auth.model import SYSTEM, Actor, Permission
from kernel.db import Tx
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from kernel.live import publish

log = structlog.get_logger(__name__)
MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Closing:
    """How an incident ends, and why in a person's words (1 to 2,000 characters)."""

    resolution: Resolution
    reason: str


async def lock(tx: Tx, incident_id: uuid.UUID, actor: Actor) -> Incident:
    """Hold the incident of the person's division. Raises NotFound."""
    incident = await store.lock(tx, incident_id, actor.division)
    if incident is None:
        raise NotFound("there is no such incident")
    return incident


async def move(
    tx: Tx,
    incident: Incident,
    version: int | None,
    action: Action,
    actor: Actor,
    now: datetime,
    *,
    holder: uuid.UUID | None = None,
    closing: Closing | None = None,
    data: Mapping[str, Any] | None = None,
) -> Incident:
    """Take one step of the lifecycle on a held incident; return it as it is then.

    `version` None is for steps that follow from something else (a responder's tap): no person saw
    a version, and no right is asked for. Raises Forbidden, Conflict.
    """
    if version is not None:
        await check(tx, incident, version, action, actor)
    resolution, reason = (closing.resolution, closing.reason) if closing else (None, None)
    goal = machine.target(incident.status, action)
    if goal is None or not await store.move(
        tx, incident, action, goal, holder=holder, now=now, resolution=resolution, reason=reason
    ):
        message = f"cannot {action} an incident that is {incident.status}"
        raise await _conflict(tx, incident, message)
    facts = {"from": incident.status, "to": goal, "version": incident.version + 1}
    kind = machine.EVENT_OF[action]
    line = dict(data or {}) | facts
    await store.add_event(tx, incident.id, kind, actor=actor, now=now, data=line)
    if goal is not incident.status:
        await _rearm(tx, incident, goal, now)
    return await publish_change(tx, incident.id)


async def check(tx: Tx, incident: Incident, version: int, action: Action, actor: Actor) -> None:
    """Raise Forbidden or Conflict unless the person may do this to the version that was seen."""
    right = machine.RIGHTS[action]
    if actor.user_id is None or not actor.may(right.permission):
        raise Forbidden("your role does not allow this", action=action)
    if incident.version != version:
        raise await _conflict(tx, incident, "somebody was faster")
    if right.who is machine.Who.HOLDER:
        _check_hold(incident, actor)


async def check_reach(tx: Tx, incident: Incident, actor: Actor) -> None:
    """Raise Forbidden or Conflict unless the person may reach people about the incident.

    That is for whoever holds it, for a supervisor, and while it runs.
    """
    if actor.user_id is None or not actor.may(Permission.INCIDENT_HANDLE):
        raise Forbidden("your role does not allow this")
    if incident.status is Status.RESOLVED:
        raise await _conflict(tx, incident, "it is resolved")
    _check_hold(incident, actor)


def _check_hold(incident: Incident, actor: Actor) -> None:
    held_by_other = incident.acknowledged_by not in (None, actor.user_id)
    if held_by_other and not actor.may(Permission.INCIDENT_SUPERVISE):
        raise Forbidden("somebody else has claimed this", by=incident.holder_name)


async def _conflict(tx: Tx, incident: Incident, message: str) -> Conflict:
    last = await store.last_move(tx, incident.id)
    return Conflict(
        message,
        by=incident.holder_name or (last.actor_name if last else ""),
        at=(last.at if last else incident.opened_at).isoformat(),
        status=incident.status.value,
        version=incident.version,
    )


async def _rearm(tx: Tx, incident: Incident, goal: Status, now: datetime) -> None:
    """Take back the deadlines of the old status and set those of the new one."""
    kinds = [DeadlineKind.ESCALATE, DeadlineKind.TIME_IN_STATUS]
    if goal is Status.RESOLVED:
        kinds.append(DeadlineKind.DISPATCH_ANSWER)
    await escalation.cancel_deadlines(tx, incident.id, kinds, now)
    if incident.test:
        return
    policy = rules.parse_policy(incident.escalation_policy)
    if goal is Status.OPEN:
        await arm_escalation(tx, incident.id, policy, now)
    elif goal in policy.limits:
        await escalation.add_deadline(
            tx,
            incident.id,
            DeadlineKind.TIME_IN_STATUS,
            now + timedelta(seconds=policy.limits[goal]),
            data={"status": goal, "seconds": policy.limits[goal]},
        )


async def arm_escalation(
    tx: Tx, incident_id: uuid.UUID, policy: rules.Policy, now: datetime
) -> None:
    """Set a deadline for each step of the policy, counted from now."""
    for number, step in enumerate(policy.steps):
        due = now + timedelta(seconds=step.after_s)
        await escalation.add_deadline(
            tx,
            incident_id,
            DeadlineKind.ESCALATE,
            due,
            step=number,
            data={"round": 0, "since": now.isoformat()},
        )


async def make_louder(
    tx: Tx,
    incident: Incident,
    reason: str,
    now: datetime,
    *,
    level: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> Incident:
    """Escalate: raise the level, write why, tell everybody on the console."""
    wanted = min(rules.MAX_LEVEL, incident.escalation_level + 1 if level is None else level)
    await store.raise_level(tx, incident.id, wanted)
    facts = {"reason": reason, "level": max(wanted, incident.escalation_level)} | dict(data or {})
    await store.add_event(tx, incident.id, "incident.escalated", actor=SYSTEM, now=now, data=facts)
    return await publish_change(tx, incident.id, "incident.escalated", {"reason": reason})


async def publish_change(
    tx: Tx,
    incident_id: uuid.UUID,
    event: str = "incident.changed",
    extra: Mapping[str, Any] | None = None,
) -> Incident:
    """Tell the browsers that look at the incident's division; return the incident as it is."""
    incident = await store.get(tx, incident_id)
    if incident is None:
        raise NotFound("there is no such incident")
    data = {
        "id": str(incident.id),
        "number": incident.number,
        "kind": incident.kind,
        "severity": incident.severity,
        "status": incident.status,
        "version": incident.version,
        "activation_count": incident.activation_count,
        "escalation_level": incident.escalation_level,
        "acknowledged_by": incident.holder_username,
        "test": incident.test,
    }
    await publish(tx, event, division=incident.division_code, data=data | dict(extra or {}))
    return incident


async def policy_for(tx: Tx, division_code: str, severity: Severity) -> rules.Policy:
    """Return the policy of the longest configured division prefix, else the default."""
    configured = await escalation.policy_json(tx, division_code, severity)
    if configured is not None:
        try:
            return rules.parse_policy(configured)
        except Invalid as error:
            # A spoilt setting must never keep an alarm from becoming an incident.
            log.error("escalation.policy_unusable", severity=severity, fields=error.fields)
    return rules.DEFAULTS[severity]


def needed_text(text: str, field: str) -> str:
    """Return the trimmed text. Raises Invalid when it is empty or longer than 2,000 characters.

    A NUL, which no database takes, is left out.
    """
    trimmed = text.replace("\0", "").strip()
    if not trimmed:
        raise Invalid("a text is needed", {field: "must not be empty"})
    if len(trimmed) > MAX_TEXT:
        raise Invalid("the text is too long", {field: f"at most {MAX_TEXT} characters"})
    return trimmed
