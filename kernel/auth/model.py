"""Roles, permissions, the person who acts, accounts and sessions."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a person does here."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    RESPONDER = "responder"
    SUBSIDY_OFFICER = "subsidy_officer"
    SUBSIDY_REVIEWER = "subsidy_reviewer"
    CARE_MANAGER = "care_manager"
    DEVICE_TECHNICIAN = "device_technician"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class Permission(StrEnum):
    """What a route or a use case asks for."""

    INCIDENT_READ = "incident.read"
    INCIDENT_HANDLE = "incident.handle"
    INCIDENT_SUPERVISE = "incident.supervise"
    ELDER_READ = "elder.read"
    ELDER_REVEAL = "elder.reveal"
    ELDER_WRITE = "elder.write"
    ELDER_IMPORT = "elder.import"
    DEVICE_READ = "device.read"
    DEVICE_WRITE = "device.write"
    DEVICE_CLAIM = "device.claim"
    DEAD_LETTER_READ = "dead_letter.read"
    DEAD_LETTER_WRITE = "dead_letter.write"
    USER_ADMIN = "user.admin"
    AUDIT_READ = "audit.read"
    SETTINGS_WRITE = "settings.write"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person with roles, and the division prefix that they work for ("" is all).

    `locale` is `auto` only outside of a request: in one it is the browser's language by then.
    """

    user_id: uuid.UUID | None
    username: str
    display_name: str
    roles: frozenset[Role]
    division: str
    locale: str = "zh"
    theme: str = "auto"
    text_size: str = "normal"
    on_duty: bool = False

    def may(self, permission: Permission) -> bool:
        """True when one of the roles has the permission."""
        return any(permission in ROLE_PERMISSIONS[role] for role in self.roles)

    def covers(self, division_code: str) -> bool:
        """True when the 12-digit code lies in the person's division."""
        return division_code.startswith(self.division)


P = Permission
_HANDLE = frozenset(
    {P.INCIDENT_READ, P.INCIDENT_HANDLE, P.ELDER_READ, P.ELDER_REVEAL, P.DEVICE_READ}
)
ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OPERATOR: _HANDLE,
    Role.SUPERVISOR: _HANDLE
    | {P.INCIDENT_SUPERVISE, P.ELDER_WRITE, P.ELDER_IMPORT, P.DEVICE_WRITE, P.DEAD_LETTER_READ}
    | {P.DEVICE_CLAIM},
    Role.RESPONDER: frozenset(),
    Role.SUBSIDY_OFFICER: frozenset({P.ELDER_READ}),
    Role.SUBSIDY_REVIEWER: frozenset({P.ELDER_READ}),
    Role.CARE_MANAGER: frozenset(
        {
            P.ELDER_READ,
            P.ELDER_REVEAL,
            P.ELDER_WRITE,
            P.ELDER_IMPORT,
            P.DEVICE_READ,
            P.DEVICE_CLAIM,
            P.INCIDENT_READ,
        }
    ),
    Role.DEVICE_TECHNICIAN: frozenset(
        {
            P.DEVICE_READ,
            P.DEVICE_WRITE,
            P.DEVICE_CLAIM,
            P.DEAD_LETTER_READ,
            P.DEAD_LETTER_WRITE,
            P.ELDER_READ,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            P.USER_ADMIN,
            P.SETTINGS_WRITE,
            P.DEVICE_READ,
            P.DEVICE_WRITE,
            P.DEVICE_CLAIM,
            P.ELDER_READ,
            P.ELDER_WRITE,
            P.ELDER_IMPORT,
            P.DEAD_LETTER_READ,
            P.DEAD_LETTER_WRITE,
            P.INCIDENT_READ,
        }
    ),
    Role.AUDITOR: frozenset({P.AUDIT_READ}),
}

SYSTEM = Actor(None, "system", "系统", frozenset(), "")


@dataclass(frozen=True, slots=True)
class User:
    """An account as the administration sees it. `locked_until` is the end of a lock-out, if any."""

    id: uuid.UUID
    username: str
    display_name: str
    roles: frozenset[Role]
    division: str
    locale: str
    theme: str
    text_size: str
    on_duty: bool
    must_change_password: bool
    disabled_at: datetime | None
    created_at: datetime
    version: int
    locked_until: datetime | None = None
    last_login_at: datetime | None = None

    def as_actor(self) -> Actor:
        """Return the person as the one who acts."""
        return Actor(
            self.id,
            self.username,
            self.display_name,
            self.roles,
            self.division,
            self.locale,
            self.theme,
            self.text_size,
            self.on_duty,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A login that holds: who it is, the hash of its cookie's token, and its CSRF token.

    `expires_at` is the absolute end; the idle limit ends it earlier.
    """

    actor: Actor
    token_hash: bytes
    csrf_token: str
    must_change_password: bool
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
