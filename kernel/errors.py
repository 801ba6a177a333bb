"""Domain errors carry facts; the edge turns them into a status code and a sentence for a person."""

from typing import Any, ClassVar


class DomainError(Exception):
    """Something that the caller can understand and act on.

    `message` is an English sentence, `facts` are the values that a translated sentence needs.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class Invalid(DomainError):
    """Input that cannot be accepted. `fields` maps a field name to what is wrong with it."""

    code = "invalid"
    status = 422

    def __init__(self, message: str, fields: dict[str, str] | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.fields = fields or {}


class Unauthenticated(DomainError):
    """Nobody is logged in, or the session has ended."""

    code = "unauthenticated"
    status = 401


class Forbidden(DomainError):
    """The person may not do this, by role or by division."""

    code = "forbidden"
    status = 403


class NotFound(DomainError):
    """There is no such thing, or it lies outside of the person's division."""

    code = "not_found"
    status = 404


class Conflict(DomainError):
    """Somebody was faster, or the state has moved on; `facts` say who and what."""

    code = "conflict"
    status = 409


class RateLimited(DomainError):
    """Too many attempts; `facts["retry_after"]` says for how many seconds to wait."""

    code = "rate_limited"
    status = 429


class Unavailable(DomainError):
    """Something that is needed is away for now; trying again later is right."""

    code = "unavailable"
    status = 503
