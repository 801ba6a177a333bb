"""Renders pages: one Jinja2 environment for each locale, the same macros for every part.

Templates are named by part: `ui/button.html` lies in `dashboards/ui/templates/ui/`, and
`console/shell.html` in `dashboards/console/templates/`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
)
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dashboards.ui import words
from dashboards.ui.assets import Assets
from dashboards.ui.csp import content_security_policy
from dashboards.ui.filters import make_filters
from dashboards.ui.i18n import LOCALE_NAMES, LOCALES, Translator, normal_locale, translator
from dashboards.ui.view import View, _current, current_view, view_of
from kernel.auth.model import Actor

DASHBOARDS = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class UiSettings:
    """What the pages need to know of an installation.

    `tile_url` is a Leaflet template (`https://…/{z}/{x}/{y}.png`) or None for the plain grid;
    `tile_datum` is `gcj02` for Chinese tiles. `sections` are the rail's entries that exist.
    """

    centre: str = "呼和浩特市"
    hotline: str = "12349"
    tile_url: str | None = None
    tile_attribution: str = ""
    tile_datum: str = ""
    demo: bool = False
    sections: frozenset[str] = frozenset(
        {
            "incidents",
            "elders",
            "devices",
            "dead_letters",
            "found",
            "staff",
            "responders",
            "outbox",
            "audit",
        }
    )


class Pages:
    """Renders templates for a view. Build one per process: `Pages(UiSettings(), Assets())`."""

    def __init__(
        self, settings: UiSettings, assets: Assets, more: Mapping[str, Path] | None = None
    ) -> None:
        """`more` adds template folders by prefix, beside those of the parts of dashboards."""
        self.settings = settings
        self.assets = assets
        self.policy = content_security_policy(settings.tile_url)
        loader = template_loader(more or {})
        self._environments = {name: self._environment(loader, name) for name in LOCALES}

    def environment(self, locale: str) -> Environment:
        """Return the Jinja2 environment of a locale."""
        return self._environments[normal_locale(locale)]

    def render(self, template: str, view: View, **values: Any) -> str:
        """Render a template to text; `view` and `ui` (the settings) are there besides values."""
        with _viewing(view):
            return self.environment(view.locale).get_template(template).render(view=view, **values)

    def response(
        self,
        request: Request,
        template: str,
        *,
        now: datetime,
        actor: Actor | None = None,
        csrf_token: str = "",
        status: int = 200,
        **values: Any,
    ) -> HTMLResponse:
        """Render for a request and answer with the security headers of every page."""
        view = view_of(request, now=now, actor=actor, csrf_token=csrf_token)
        return self.html(self.render(template, view, status=status, **values), view.locale, status)

    def html(self, text: str, locale: str, status: int = 200) -> HTMLResponse:
        """Wrap rendered text; pages hold personal data, so no cache keeps them."""
        headers = {
            "Content-Security-Policy": self.policy,
            "Content-Language": locale,
            "Cache-Control": "no-store",
            "Vary": "HX-Request, HX-Target, Cookie, Accept-Language",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }
        return HTMLResponse(text, status, headers)

    def _environment(self, loader: BaseLoader, locale: str) -> Environment:
        tr = translator(locale)
        env = Environment(
            loader=loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        env.install_gettext_callables(  # type: ignore[attr-defined]
            tr.gettext, tr.ngettext, newstyle=True, pgettext=tr.pgettext, npgettext=tr.npgettext
        )
        env.filters.update(make_filters(tr, lambda: current_view().now))
        env.globals.update(
            asset=self.assets.url,
            icon=self._icon,
            ui=self.settings,
            locale=locale,
            locale_names=LOCALE_NAMES,
            csrf_token=lambda: current_view().csrf_token,
            now=lambda: current_view().now,
            search_ended=lambda: current_view().search_ended,
            client_words=lambda *only: self._client_words(tr, only),
            word_options=lambda group: words.options(group, tr),
        )
        return env

    def _icon(self, name: str, size: str = "") -> Markup:
        """Return a decorative icon of the sprite; its meaning must stand beside it as text."""
        return Markup('<svg class="icon{}" aria-hidden="true"><use href="{}#{}"/></svg>').format(
            f" icon-{size}" if size else "", self.assets.url("icons.svg"), name
        )

    def _client_words(self, tr: Translator, only: tuple[str, ...]) -> dict[str, str]:
        """Return the translations of the scripts' sentences, or of some; none in Chinese."""
        known = ((text, tr.gettext(text)) for text in only or self.assets.client_messages)
        return {text: translated for text, translated in known if translated != text}


def template_loader(more: Mapping[str, Path]) -> BaseLoader:
    """Load `ui/…` from here and `<part>/…` from each part of dashboards that has templates."""
    parts = {
        folder.parent.name: FileSystemLoader(folder)
        for folder in sorted(DASHBOARDS.glob("*/templates"))
        if folder.parent.name != "ui"
    }
    parts.update((prefix, FileSystemLoader(folder)) for prefix, folder in more.items())
    own = FileSystemLoader(DASHBOARDS / "ui" / "templates")
    return ChoiceLoader([own, PrefixLoader(parts)])


@contextmanager
def _viewing(view: View) -> Iterator[None]:
    token = _current.set(view)
    try:
        yield
    finally:
        _current.reset(token)
