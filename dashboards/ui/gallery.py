"""The gallery at /ui: every macro with plausible data, for people who build pages and for tests.

Mounted in demo mode only; it shows invented people and stores nothing.
"""

from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from dashboards.ui.environment import Pages
from dashboards.ui.gallery_data import demo_data, demo_vitals
from dashboards.ui.i18n import N_, translator
from dashboards.ui.view import view_of
from kernel.clock import utcnow


def gallery_routes(pages: Pages) -> APIRouter:
    """Return the routes of /ui and of the addresses that its macros call."""
    router = APIRouter(include_in_schema=False)
    _show(router, pages)
    _answer(router, pages)
    return router


def _show(router: APIRouter, pages: Pages) -> None:
    @router.get("/ui")
    async def gallery(request: Request) -> Response:
        now = utcnow()
        view = replace(view_of(request, now=now), csrf_token="gallery")  # noqa: S106 - no session
        text = pages.render("ui/gallery.html", view, demo=demo_data(now, view.locale))
        return pages.html(text, view.locale)

    @router.get("/ui/vitals.json")
    async def vitals(request: Request) -> Response:
        now = utcnow()
        return JSONResponse(demo_vitals(now, view_of(request, now=now).locale))

    @router.get("/ui/nothing.json")
    async def nothing() -> Response:
        return JSONResponse({"from": 0, "to": 1, "metrics": []})


def _answer(router: APIRouter, pages: Pages) -> None:
    @router.post("/ui/reveal")
    async def reveal(request: Request) -> Response:
        return pages.html("<span>139 0471 5512</span>", view_of(request, now=utcnow()).locale)

    @router.post("/ui/echo")
    async def echo() -> Response:
        return RedirectResponse("/ui", 303)

    @router.post("/ui/conflict")
    async def conflict(request: Request) -> Response:
        now = utcnow()
        tr = translator(view_of(request, now=now).locale)
        sentence = tr.gettext(N_("王芳 已在 14:03 接警"))
        return pages.response(request, "console/error.html", now=now, status=409, sentence=sentence)
