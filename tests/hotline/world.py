"""People, an elder with contacts, devices and alarms: what tests of the hotline begin with."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from care.elders import store as elders
from care.elders.model import Contact, Draft, LivingSituation, Phone, Relation, Sex
from devices.alarms import ALARM_CLASSES, AlarmKind, RaisedAlarm, Severity
from hotline.contacts.model import PHONE
from hotline.dispatch import service as dispatches
from hotline.dispatch import tokens
from hotline.escalation import store as escalation
from hotline.incidents import service
from hotline.incidents import store as incidents
from hotline.incidents.model import Incident
from hotline.responders import service as responders
from hotline.responders.model import Skill
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples, fetch_value
from kernel.ids import new_id

PUBLIC_URL = "https://12349.example.cn"
PLACE = "150102003000"


@dataclass(frozen=True)
class Person:
    """An elder of the tests with the numbers of everybody around."""

    id: uuid.UUID
    name: str
    phone: str
    contact_ids: list[uuid.UUID]
    contact_phones: list[str]


class World:
    """Makes and looks at things in the test's own database."""

    def __init__(self, db: Database, cipher: FieldCipher, now: datetime) -> None:
        self.db = db
        self.cipher = cipher
        self.now = now
        self._count = 0

    def later(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    async def user(
        self, name: str, *roles: Role, division: str = "1501", username: str = ""
    ) -> Actor:
        self._count += 1
        wanted = roles or (Role.OPERATOR,)
        actor = Actor(new_id(), username or f"user{self._count}", name, frozenset(wanted), division)
        async with self.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO user_account (id, username, display_name, password_hash, roles,"
                " division, created_at) VALUES (%s, %s, %s, 'x', %s, %s, %s)",
                (
                    actor.user_id,
                    actor.username,
                    name,
                    [r.value for r in wanted],
                    division,
                    self.now,
                ),
            )
        return actor

    async def elder(
        self, name: str = "李秀英", *, contacts: int = 3, division: str = PLACE
    ) -> Person:
        self._count += 1
        serial = self._count
        phones = [f"1390471{serial:02}{n:02}" for n in range(contacts + 1)]
        names = ("李建华", "王淑兰", "陈志国", "赵桂芝")
        people = tuple(
            Contact(names[n], Relation.CHILD, phones[n + 1], id=new_id()) for n in range(contacts)
        )
        draft = Draft(
            name=name,
            division_code=division,
            sex=Sex.FEMALE,
            birth_date=date(1943, 5, 2),
            address="海东路街道兴安小区3号楼2单元501室",
            lat=40.8570,
            lon=111.6900,
            living_situation=LivingSituation.ALONE,
            risk_notes="高血压，独居，听力差",
            medical_notes="2019年脑梗，服用华法林",
            access_notes="钥匙盒在门框左侧，密码 4071",
            phones=(Phone(phones[0], "手机"),),
        )
        elder_id = new_id()
        async with self.db.transaction() as tx:
            made = elders.NewElder(elder_id, draft, people)
            await elders.insert(tx, self.cipher, [made], self.now, by=None)
        return Person(elder_id, name, phones[0], [p.id for p in people if p.id], phones[1:])

    async def device(self, elder: Person | None = None, *, division: str = PLACE) -> int:
        self._count += 1
        async with self.db.transaction() as tx:
            return int(
                await fetch_value(
                    tx,
                    "INSERT INTO device (id, profile, state, elder_id, room, division_code,"
                    " created_at, updated_at)"
                    " VALUES (%s, 'sos_pendant', %s, %s, '卧室', %s, %s, %s) RETURNING no",
                    (
                        f"W-{self._count:04}",
                        "bound" if elder else "stock",
                        elder.id if elder else None,
                        division,
                        self.now,
                        self.now,
                    ),
                )
            )

    async def alarm(
        self,
        elder: Person | None,
        kind: AlarmKind = AlarmKind.SOS,
        *,
        device_no: int | None = None,
        division: str = PLACE,
        severity: Severity | None = None,
        now: datetime | None = None,
        **more: Any,
    ) -> RaisedAlarm:
        """Insert the alarm's row, as ingest has done when it calls the hotline."""
        alarm = RaisedAlarm(
            id=new_id(),
            kind=kind,
            severity=severity or ALARM_CLASSES[kind].severity,
            source="device",
            device_no=device_no,
            device_id=None,
            elder_id=elder.id if elder else None,
            division_code=division,
            received_at=now or self.now,
            **more,
        )
        async with self.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO alarm (id, device_no, elder_id, kind, severity, source, received_at,"
                " test, detail) VALUES (%s, %s, %s, %s, %s, 'device', %s, %s, %s)",
                (
                    alarm.id,
                    alarm.device_no,
                    alarm.elder_id,
                    alarm.kind,
                    alarm.severity,
                    alarm.received_at,
                    alarm.test,
                    Jsonb(dict(alarm.detail)),
                ),
            )
        return alarm

    async def react(self, alarm: RaisedAlarm, now: datetime | None = None) -> Incident:
        async with self.db.transaction() as tx:
            await service.react_to_alarm(tx, alarm, now or self.now)
        return await self.incident_of(alarm)

    async def opened(
        self, elder: Person | None = None, kind: AlarmKind = AlarmKind.SOS, **more: Any
    ) -> Incident:
        """An elder (a new one if need be) has raised an alarm."""
        return await self.react(await self.alarm(elder or await self.elder(), kind, **more))

    async def claimed(self, actor: Actor, elder: Person | None = None, **more: Any) -> Incident:
        incident = await self.opened(elder, **more)
        async with self.db.transaction() as tx:
            return await service.acknowledge(tx, incident.id, incident.version, actor, self.now)

    async def incident_of(self, alarm: RaisedAlarm) -> Incident:
        async with self.db.connection() as conn:
            incident_id = await fetch_value(
                conn,
                "SELECT incident_id FROM incident_activation WHERE alarm_id = %s",
                (alarm.id,),
            )
        return await self.incident(incident_id)

    async def incident(self, incident_id: uuid.UUID) -> Incident:
        async with self.db.connection() as conn:
            found = await incidents.get(conn, incident_id)
        assert found is not None
        return found

    async def events(self, incident_id: uuid.UUID) -> list[tuple[str, dict[str, Any]]]:
        async with self.db.connection() as conn:
            found = await incidents.events(conn, incident_id)
        return [(event.kind, dict(event.data)) for event in found]

    async def kinds(self, incident_id: uuid.UUID) -> list[str]:
        return [kind for kind, _ in await self.events(incident_id)]

    async def deadlines(self, incident_id: uuid.UUID) -> list[tuple[str, int, float]]:
        """Pending deadlines as (kind, step, seconds from the test's now)."""
        async with self.db.connection() as conn:
            found = await escalation.pending_deadlines(conn, incident_id)
        return [(d.kind.value, d.step, (d.due_at - self.now).total_seconds()) for d in found]

    async def responder(
        self,
        name: str = "斯琴",
        *,
        phone: str = "13947100001",
        skills: tuple[Skill, ...] = (Skill.FIRST_AID,),
        division: str = "150102000000",
        user_id: uuid.UUID | None = None,
    ) -> uuid.UUID:
        async with self.db.transaction() as tx:
            return await responders.add(
                tx,
                self.cipher,
                name=name,
                phone=phone,
                skills=skills,
                division_code=division,
                station="海东路社区养老服务站",
                on_duty=True,
                now=self.now,
                user_id=user_id,
            )

    async def sent(
        self, incident: Incident, responder_id: uuid.UUID, actor: Actor, now: datetime | None = None
    ) -> tuple[Incident, uuid.UUID, str]:
        """Dispatch and return incident, dispatch id and the token of the link in the text."""
        outgoing = dispatches.Outgoing(self.cipher, PUBLIC_URL)
        async with self.db.transaction() as tx:
            after, dispatch_id = await dispatches.send(
                tx, incident.id, incident.version, responder_id, outgoing, actor, now or self.now
            )
        return after, dispatch_id, await self.token(dispatch_id)

    async def token(self, dispatch_id: uuid.UUID) -> str:
        async with self.db.connection() as conn:
            box = await fetch_value(
                conn,
                "SELECT body_enc FROM contact_attempt"
                " WHERE dispatch_id = %s AND purpose = 'dispatch' AND channel = 'sms'",
                (dispatch_id,),
            )
        body = self.cipher.decrypt("text_body", bytes(box))
        token = body.rpartition("/r/")[2]
        assert tokens.link(PUBLIC_URL, token) in body
        return token

    async def duty_phone(
        self, phone: str, *, position: int = 1, division: str = "1501", user: Actor | None = None
    ) -> None:
        async with self.db.transaction() as tx:
            await escalation.save_duty_phone(
                tx,
                division=division,
                position=position,
                name=f"值班电话{position}",
                phone_enc=self.cipher.encrypt(PHONE, phone),
                phone_index=self.cipher.blind_index(PHONE, phone),
                user_id=user.user_id if user else None,
            )

    async def attempts(self, incident_id: uuid.UUID) -> list[tuple[str, str, str, str]]:
        """Attempts as (channel, purpose, name, status), oldest first."""
        async with self.db.connection() as conn:
            rows = await fetch_tuples(
                conn,
                "SELECT channel, purpose, to_name, status FROM contact_attempt"
                " WHERE incident_id = %s ORDER BY created_at, id",
                (incident_id,),
            )
        return [tuple(row) for row in rows]

    async def last_attempt(self, incident_id: uuid.UUID, channel: str = "call") -> str:
        """The reference of the newest attempt."""
        async with self.db.connection() as conn:
            return str(
                await fetch_value(
                    conn,
                    "SELECT id FROM contact_attempt WHERE incident_id = %s AND channel = %s"
                    " ORDER BY created_at DESC, id DESC LIMIT 1",
                    (incident_id, channel),
                )
            )
