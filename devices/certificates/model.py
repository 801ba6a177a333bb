"""Certificates as the registry knows them."""

import uuid
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate of a device. `own`: our authority issued it; `serial` is hexadecimal."""

    id: uuid.UUID
    device_no: int
    serial: str
    issuer: str
    own: bool
    not_before: datetime
    not_after: datetime
    created_at: datetime
    created_by: str | None
    revoked_at: datetime | None
    revoke_reason: str

    def live(self, now: datetime) -> bool:
        """True while a device gets in with it."""
        return self.revoked_at is None and self.not_before <= now < self.not_after


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A fresh certificate as PEM, with that of the authority behind it."""

    device_id: str
    serial: str
    not_after: datetime
    certificate: str
    authority: str


@dataclass(frozen=True, slots=True)
class RevokedSerial:
    """An entry of the list of revoked certificates."""

    serial: str
    revoked_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a certificate that a device shows."""

    device_no: int
    revoked_at: datetime | None


# RFC 5280, 5.3.1: the reasons that make sense for a device.
REASONS = (
    "unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation_of_operation",
)  # fmt: skip
