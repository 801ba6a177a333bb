"""What `app/wiring` binds of this wing: reactions to alarms, outbox topics, deadlines, jobs."""

from datetime import datetime

from devices.alarms import ClearedCondition, RaisedAlarm
from hotline.contacts import jobs as contact_jobs
from hotline.escalation import jobs as escalation_jobs
from hotline.escalation.jobs import FallbackPhone
from hotline.incidents import service
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx
from kernel.jobs import Job
from kernel.outbox import Handler
from kernel.ports import Carrier


async def react_to_alarm(tx: Tx, alarm: RaisedAlarm, now: datetime) -> None:
    """Open or repeat an incident in the transaction that stores the alarm."""
    await service.react_to_alarm(tx, alarm, now)


async def condition_cleared(tx: Tx, cleared: ClearedCondition, now: datetime) -> None:
    """Mark the incident of a condition that is over."""
    await service.condition_cleared(tx, cleared, now)


def outbox_handlers(db: Database, cipher: FieldCipher, carrier: Carrier) -> dict[str, Handler]:
    """Return the handler of every outbox topic of this wing."""
    return contact_jobs.outbox_handlers(db, cipher, carrier)


async def due_deadlines(db: Database, cipher: FieldCipher, duty_phone: str, now: datetime) -> int:
    """Do what incidents wait for; run about every second. `duty_phone` is the settings' own."""
    return await escalation_jobs.due_deadlines(db, now, FallbackPhone(duty_phone, cipher))


def jobs() -> list[Job]:
    """Return the scheduled jobs of this wing: none, deadlines are looked at every second."""
    return []
