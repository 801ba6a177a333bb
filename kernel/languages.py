"""The languages of the interface, and which of them a browser asks for."""

from collections.abc import Mapping

CHINESE, ENGLISH = "zh", "en"
LANGUAGES = (CHINESE, ENGLISH)
AS_THE_BROWSER = "auto"
"""The language of an account whose owner has not chosen one yet."""
COOKIE = "locale"
"""What was chosen in this browser, before a login or by whoever used it last."""


def of_browser(cookies: Mapping[str, str], accept_language: str | None) -> str:
    """Return what was chosen in this browser, else the first of ours that it asks for."""
    chosen = cookies.get(COOKIE)
    return chosen if chosen in LANGUAGES else of_header(accept_language)


def of_header(accept_language: str | None) -> str:
    """Return the first of our languages in an Accept-Language header (RFC 9110, 12.5.4)."""
    ranked: list[tuple[float, str]] = []
    for part in (accept_language or "").split(","):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.split("-")[0].lower()
        if language in LANGUAGES:
            try:
                quality = float(weight or "1")
            except ValueError:
                continue
            # With 0 it is one that is not wanted; what is no number is not greater than it.
            if quality > 0:
                ranked.append((-quality, language))
    return min(ranked, key=lambda item: item[0])[1] if ranked else CHINESE
