"""Use cases of an incident: what an alarm does to it and what people do with it.

Each function works in the caller's transaction, takes the row's lock first and leaves a line on the
timeline and an event on the live feed. An action names the version that its person saw.
"""

import uuid
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation

from devices.alarms import ClearedCondition, RaisedAlarm, Severity
from hotline.dispatch import service as dispatches
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.escalation.model import DeadlineKind
from hotline.incidents import store
from hotline.incidents.model import Action, Incident, Resolution, Status
from hotline.incidents.steps import (
    MAX_TEXT,
    Closing,
    arm_escalation,
    lock,
    make_louder,
    move,
    needed_text,
    policy_for,
    publish_change,
)
from kernel.auth.model import ROLE_PERMISSIONS, SYSTEM, Actor, Permission, Role
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, Unavailable

_RACES = 5


# What alarms do


async def react_to_alarm(tx: Tx, alarm: RaisedAlarm, now: datetime) -> None:
    """Open an incident, or ring again on the one that is open for the same elder and kind.

    Raises Invalid for an alarm of neither an elder nor a device. The same alarm twice counts once.
    """
    if alarm.elder_id is None and alarm.device_no is None:
        raise Invalid("an alarm needs an elder or a device", alarm=str(alarm.id))
    if await store.has_activation(tx, alarm.id):
        return
    # Somebody else may open or resolve between our look and our insert: look again.
    for _ in range(_RACES):
        incident = await store.lock_open(tx, alarm.kind, alarm.elder_id, alarm.device_no)
        if incident is not None and alarm.test and not incident.test:
            await _tested(tx, incident, alarm, now)
            return
        if incident is not None:
            await _repeat(tx, incident, alarm, now)
            return
        policy = await policy_for(tx, alarm.division_code, alarm.severity)
        opened = await store.insert_incident(tx, alarm, policy.dump(), now)
        if opened is not None:
            await _opened(tx, opened, alarm, policy, now)
            return
    raise Unavailable("the incident changes too fast; try again", alarm=str(alarm.id))


async def _opened(
    tx: Tx, incident_id: uuid.UUID, alarm: RaisedAlarm, policy: rules.Policy, now: datetime
) -> None:
    await store.insert_activation(tx, incident_id, alarm, now)
    await store.add_event(
        tx,
        incident_id,
        "incident.opened",
        actor=SYSTEM,
        now=now,
        data={"to": Status.OPEN, "version": 1} | _alarm_facts(alarm),
    )
    if not alarm.test:
        await arm_escalation(tx, incident_id, policy, now)
    await publish_change(tx, incident_id, "incident.opened")


async def _tested(tx: Tx, incident: Incident, alarm: RaisedAlarm, now: datetime) -> None:
    """A test while a real incident of the kind is open: on record there, and nothing rings."""
    await store.insert_activation(tx, incident.id, alarm, now, over=True)
    facts = _alarm_facts(alarm)
    await store.add_event(tx, incident.id, "incident.tested", actor=SYSTEM, now=now, data=facts)
    await publish_change(tx, incident.id)


async def _repeat(tx: Tx, incident: Incident, alarm: RaisedAlarm, now: datetime) -> None:
    severity = _louder(incident.severity, alarm.severity)
    policy = rules.parse_policy(incident.escalation_policy)
    was_quiet = severity is not incident.severity or (incident.test and not alarm.test)
    if severity is not incident.severity:
        policy = await policy_for(tx, incident.division_code, severity)
    await store.repeat_incident(tx, incident.id, alarm, severity, policy.dump(), now)
    await store.insert_activation(tx, incident.id, alarm, now)
    facts = _alarm_facts(alarm) | {"count": incident.activation_count + 1}
    await store.add_event(tx, incident.id, "incident.repeated", actor=SYSTEM, now=now, data=facts)
    if severity is not incident.severity:
        raised = {"from_severity": incident.severity, "severity": severity}
        await store.add_event(
            tx, incident.id, "incident.severity_raised", actor=SYSTEM, now=now, data=raised
        )
    if was_quiet and incident.status is Status.OPEN and not (incident.test and alarm.test):
        await escalation.cancel_deadlines(tx, incident.id, [DeadlineKind.ESCALATE], now)
        await arm_escalation(tx, incident.id, policy, now)
    await publish_change(tx, incident.id, "incident.repeated")
    if rules.claim_is_stale(policy, incident.acknowledged_at, now):
        await make_louder(tx, incident, "stale_claim", now)


def _louder(one: Severity, other: Severity) -> Severity:
    """Return the louder of two severities."""
    return min(one, other, key=lambda severity: severity.rank)


def _alarm_facts(alarm: RaisedAlarm) -> dict[str, Any]:
    return {
        "alarm": alarm.kind,
        "severity": alarm.severity,
        "source": alarm.source,
        "device": alarm.device_id,
        "test": alarm.test,
    }


async def condition_cleared(tx: Tx, cleared: ClearedCondition, now: datetime) -> None:
    """Note that the condition is over. It never closes an incident: a person looks (ISA-18.2).

    Two detectors may hold one incident: it is over when every one that fired has said so.
    """
    incident = await store.lock_open(tx, cleared.kind, cleared.elder_id, cleared.device_no)
    if incident is None:
        return
    if not await store.clear_activations(tx, incident.id, cleared.device_no, cleared.at):
        return
    active = await store.settle_condition(tx, incident.id)
    await store.add_event(
        tx,
        incident.id,
        "condition.cleared",
        actor=SYSTEM,
        now=now,
        data={"device_no": cleared.device_no, "active": active},
    )
    await publish_change(tx, incident.id)


# What people do


async def acknowledge(
    tx: Tx, incident_id: uuid.UUID, version: int, actor: Actor, now: datetime
) -> Incident:
    """Claim the incident. Exactly one wins; asking again for one's own claim changes nothing.

    Raises Conflict with facts by, at, status and version when somebody was faster.
    """
    incident = await lock(tx, incident_id, actor)
    mine = actor.user_id is not None and incident.acknowledged_by == actor.user_id
    if mine and incident.status is Status.ACKNOWLEDGED and incident.version == version + 1:
        return incident
    return await move(tx, incident, version, Action.ACKNOWLEDGE, actor, now, holder=actor.user_id)


async def release(
    tx: Tx, incident_id: uuid.UUID, version: int, actor: Actor, now: datetime
) -> Incident:
    """Give the claim back: it rings for everybody and the escalation begins again."""
    incident = await lock(tx, incident_id, actor)
    return await move(tx, incident, version, Action.RELEASE, actor, now)


async def hand_over(
    tx: Tx, incident_id: uuid.UUID, version: int, to: uuid.UUID, actor: Actor, now: datetime
) -> Incident:
    """Give the claim to another operator; the holder or a supervisor does it (also to oneself)."""
    incident = await lock(tx, incident_id, actor)
    account = await store.operator(tx, to)
    if account is None or not incident.division_code.startswith(account[2]):
        raise Invalid("this person cannot take it", {"to": "unknown person or another division"})
    permissions = [ROLE_PERMISSIONS[Role(role)] for role in account[1]]
    if not any(Permission.INCIDENT_HANDLE in granted for granted in permissions):
        raise Invalid("this person cannot take it", {"to": "does not handle incidents"})
    names = {"from_name": incident.holder_name, "to_name": account[0], "to_id": str(to)}
    return await move(tx, incident, version, Action.HAND_OVER, actor, now, holder=to, data=names)


async def on_scene(
    tx: Tx, incident_id: uuid.UUID, version: int, note: str, actor: Actor, now: datetime
) -> Incident:
    """Somebody is there: family, neighbours, 120, or a responder who phoned instead of tapping."""
    incident = await lock(tx, incident_id, actor)
    data = {"note": note.replace("\0", "").strip()[:MAX_TEXT]}
    return await move(tx, incident, version, Action.ARRIVE, actor, now, data=data)


async def resolve(
    tx: Tx,
    incident_id: uuid.UUID,
    version: int,
    resolution: Resolution,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Incident:
    """Close the incident with what it turned out to be. Whoever is still on the way is told."""
    incident = await lock(tx, incident_id, actor)
    text = needed_text(reason, "reason")
    closing = Closing(resolution, text)
    data = {"resolution": resolution, "reason": text}
    closed = await move(
        tx, incident, version, Action.RESOLVE, actor, now,
        holder=actor.user_id, closing=closing, data=data,
    )  # fmt: skip
    await dispatches.withdraw_all(tx, closed, actor, now)
    return closed


async def reopen(
    tx: Tx, incident_id: uuid.UUID, version: int, reason: str, actor: Actor, now: datetime
) -> Incident:
    """Open a resolved incident again, held by the person who does.

    Raises Conflict when another incident of the same elder and kind is open: work goes on there.
    """
    incident = await lock(tx, incident_id, actor)
    text = needed_text(reason, "reason")
    other = await store.lock_open(tx, incident.kind, incident.elder_id, incident.device_no)
    if other is not None and other.id != incident.id:
        raise Conflict("a newer incident is open", number=other.number, incident=str(other.id))
    data = {"reason": text}
    try:
        async with tx.transaction():
            return await move(
                tx, incident, version, Action.REOPEN, actor, now, holder=actor.user_id, data=data
            )
    except UniqueViolation as error:
        # An alarm opened a newer one between the look above and the move.
        raise Conflict("a newer incident is open") from error


async def add_note(
    tx: Tx, incident_id: uuid.UUID, text: str, actor: Actor, now: datetime
) -> Incident:
    """Write on the timeline; nothing moves."""
    incident = await lock(tx, incident_id, actor)
    data = {"text": needed_text(text, "text")}
    await store.add_event(tx, incident.id, "note.added", actor=actor, now=now, data=data)
    await publish_change(tx, incident.id)
    return incident


async def takers(tx: Tx, incident: Incident) -> list[store.Taker]:
    """Return who could take the incident over, without its holder."""
    roles = [
        role.value
        for role, granted in ROLE_PERMISSIONS.items()
        if Permission.INCIDENT_HANDLE in granted
    ]
    found = await store.takers(tx, incident.division_code, roles)
    return [one for one in found if one.id != incident.acknowledged_by]
