"""Language, theme and text size: what the form of `ui/menu.html` sends, and this browser's cookies.

The person's own choice lies with the account; the cookies serve the login page.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.responses import Response

from dashboards.ui.view import SIZES, THEMES

_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "locale": ("zh", "en"),
    "theme": THEMES,
    "size": SIZES,
}
_YEAR = 365 * 86400


def chosen_preferences(form: Mapping[str, object]) -> dict[str, str]:
    """Return the valid choices of a form; anything else in it is ignored."""
    return {
        name: value
        for name, allowed in _ALLOWED.items()
        if isinstance(value := form.get(name), str) and value in allowed
    }


def remember(response: Response, chosen: Mapping[str, str], *, secure: bool) -> None:
    """Keep the choices in this browser for a year."""
    for name, value in chosen.items():
        response.set_cookie(
            name, value, max_age=_YEAR, httponly=True, samesite="lax", secure=secure, path="/"
        )


def safe_next(target: object) -> str:
    """Return a path of this site to go back to; `/` for anything that leads elsewhere."""
    if not isinstance(target, str) or not target.startswith("/"):
        return "/"
    # A browser reads `//host` and `/\\host` as another site.
    parts = urlsplit(target.replace("\\", "/"))
    return target if not parts.netloc and not target.startswith(("//", "/\\")) else "/"
