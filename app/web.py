"""The web application: every route of every part, and what happens when one fails."""

import json
from pathlib import Path

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from app import authority
from app.headers import UsualHeaders
from app.health import health_routes
from app.limits import BodyLimit
from app.processes import database_ready
from app.routes import API_ROUTERS, DEMO_API_ROUTERS, PAGE_ROUTERS, PUSH_ROUTERS
from app.settings import Settings
from app.wiring import push_gate
from dashboards.console.fleet.routes_firmware import UPLOAD
from dashboards.console.refusals import refusal_sentence
from dashboards.ui.assets import AssetFiles, Assets
from dashboards.ui.environment import Pages, UiSettings
from dashboards.ui.gallery import gallery_routes
from dashboards.ui.i18n import translator
from dashboards.ui.view import view_of
from devices.certificates.desk import AuthorityDesk
from devices.firmware.rules import LARGEST_PACKAGE
from devices.firmware.shelf import Shelf
from kernel.auth.web import public, wants_page, way_out
from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS, Database
from kernel.errors import DomainError, Invalid, NotFound, Unavailable
from kernel.live import LiveHub
from kernel.web import WebContext

log = structlog.get_logger(__name__)
ACCOUNTS_FILE = "accounts.json"


def create_app(settings: Settings, db: Database, hub: LiveHub) -> FastAPI:
    """Build the application of a web process. Raises AssetsMissing when nothing was built."""
    web = settings.web
    app = FastAPI(title="Silverline", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit, larger={UPLOAD: LARGEST_PACKAGE + 64 * 1024})
    app.add_middleware(UsualHeaders)
    app.state.context = WebContext(
        db=db,
        cipher=settings.cipher(),
        hub=hub,
        public_url=web.public_url.rstrip("/"),
        secure_cookies=web.secure_cookies,
        demo=settings.demo,
        map_app=web.map_app,
        trusted_proxies=frozenset(web.trusted_proxies),
    )
    app.state.pages = Pages(ui_settings(settings), Assets())
    app.state.push = push_gate(db)
    app.state.firmware = Shelf(settings.data_dir / "firmware")
    app.state.authority = AuthorityDesk(
        authority.folder(settings), lambda: authority.passphrase(settings)
    )
    app.mount("/assets", AssetFiles())
    for route in health_routes(database_ready(db), db.refusal):
        # Metrics are for the health port alone: they say how much is going on here.
        if route.name != "metrics":
            app.add_api_route(
                route.path, route.endpoint, methods=["GET"], name=route.name,
                dependencies=[Depends(public)],
            )  # fmt: skip
    for router in (*PAGE_ROUTERS, *PUSH_ROUTERS):
        app.include_router(router)
    for router in (*API_ROUTERS, *(DEMO_API_ROUTERS if settings.demo else ())):
        app.include_router(router, prefix="/api")
    if settings.demo:
        app.state.demo_accounts = demo_accounts(settings.data_dir)
        app.include_router(gallery_routes(app.state.pages), dependencies=[Depends(public)])
    add_error_handlers(app)
    return app


def demo_accounts(data_dir: Path) -> list[tuple[str, str, str, str]]:
    """Return (user name, password, name, role) of each account, for the login page."""
    try:
        entries = json.loads((data_dir / ACCOUNTS_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return []
    return [(one["username"], one["password"], one["name"], one["role"]) for one in entries]


def ui_settings(settings: Settings) -> UiSettings:
    """Return what the pages need to know of the configuration."""
    web = settings.web
    return UiSettings(
        centre=web.centre,
        hotline=web.hotline,
        tile_url=web.tile_url or None,
        tile_attribution=web.tile_attribution,
        tile_datum="gcj02" if web.tile_gcj02 else "",
        demo=settings.demo,
    )


def add_error_handlers(app: FastAPI) -> None:
    """Turn errors into a status code and a sentence: JSON for programs, a page for people."""

    @app.exception_handler(DomainError)
    async def domain_error(request: Request, error: DomainError) -> Response:
        return way_out(request, error) or _answer(request, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        known = DomainError(str(error.detail))
        return _answer(request, known, status=error.status_code, code="http")

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> Response:
        if wants_page(request):
            # The checker's own sentences are for programmers; such an address has no page.
            if all(e["loc"][:1] == ("path",) for e in error.errors()):
                return _answer(request, NotFound("there is no such page"))
            return _answer(request, Invalid("The request is not as this route wants it.", {}))
        fields = {".".join(str(p) for p in e["loc"][1:]): e["msg"] for e in error.errors()}
        return _answer(request, Invalid("The request is not as this route wants it.", fields))

    async def database_away(request: Request, error: Exception) -> Response:
        log.warning("web.database_away", error=type(error).__name__)
        return _answer(request, Unavailable("The database does not answer; nothing was changed."))

    for kind in TRANSIENT_ERRORS:
        app.add_exception_handler(kind, database_away)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        # The route and not the address: a responder's link is a secret, and it is an address.
        route = getattr(request.scope.get("route"), "path", "")
        log.error("web.error", route=route, error=type(error).__name__)
        return _answer(request, DomainError("Something went wrong here."), status=500, code="bug")


def _answer(
    request: Request, error: DomainError, *, status: int | None = None, code: str | None = None
) -> Response:
    status = error.status if status is None else status
    if not wants_page(request):
        body = {"code": code or error.code, "message": error.message, "facts": error.facts}
        if isinstance(error, Invalid):
            body["fields"] = error.fields
        return JSONResponse(_plain(body), status)
    pages: Pages = request.app.state.pages
    actor, now = getattr(request.state, "actor", None), utcnow()
    locale = view_of(request, now=now, actor=actor).locale
    return pages.response(
        request,
        "console/error.html",
        now=now,
        actor=actor,
        csrf_token=getattr(request.state, "csrf_token", ""),
        status=status,
        sentence=refusal_sentence(error, translator(locale)),
        fields=getattr(error, "fields", {}),
    )


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
