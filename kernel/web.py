"""What every route may ask of its process: one frozen context on the application's state."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.live import LiveHub


@dataclass(frozen=True, slots=True)
class WebContext:
    """The parts of a web process.

    `public_url` is where browsers and phones reach us (no trailing slash); `map_app` is the map
    that links for responders open (dashboards/portal/maps.py); `trusted_proxies` are addresses
    whose X-Forwarded-For counts; `demo` opens the gallery and the demonstration's buttons.
    """

    db: Database
    cipher: FieldCipher
    hub: LiveHub
    public_url: str
    secure_cookies: bool
    demo: bool = False
    map_app: str = "geo"
    trusted_proxies: frozenset[str] = frozenset()


def get_context(request: Request) -> WebContext:
    """FastAPI dependency: the context of this process."""
    context = request.app.state.context
    if not isinstance(context, WebContext):
        raise RuntimeError("the application was made without a WebContext")
    return context


def get_now() -> datetime:
    """FastAPI dependency: the time of the request, UTC; tests may override it."""
    return utcnow()
