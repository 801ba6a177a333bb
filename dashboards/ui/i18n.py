"""Languages of the interface: Chinese is the source, English is complete.

The msgids are Chinese sentences. Their English lies in `dashboards/locale/en/*.po`, one file per
part, which are read directly at start: there is no compile step that somebody could forget.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

SOURCE_LOCALE = "zh-CN"
LOCALES = (SOURCE_LOCALE, "en")
LOCALE_NAMES: Mapping[str, str] = {"zh-CN": "中文", "en": "English"}
CATALOG_FOLDER = Path(__file__).parent.parent / "locale"

Key = tuple[str | None, str]


def N_(message: str) -> str:
    """Mark a Chinese sentence for translation where it is written, not where it is shown."""
    return message


def normal_locale(wish: str | None) -> str:
    """Return the locale of ours that fits a wish such as `zh`, `en-GB` or None (Chinese)."""
    if wish and wish.lower().replace("_", "-").split("-")[0] == "en":
        return "en"
    return SOURCE_LOCALE


@dataclass(frozen=True, slots=True)
class Translator:
    """The gettext functions of one locale; a message without a translation stays as it is."""

    locale: str
    messages: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)

    def gettext(self, message: str) -> str:
        """Translate one sentence."""
        return self._find(None, message, 0) or message

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """Translate a counted sentence; Chinese writes the same one twice."""
        return self._find(None, singular, 0 if n == 1 else 1) or (singular if n == 1 else plural)

    def pgettext(self, context: str, message: str) -> str:
        """Translate a word that means different things in different places."""
        return self._find(context, message, 0) or message

    def npgettext(self, context: str, singular: str, plural: str, n: int) -> str:
        """Translate a counted sentence with a context."""
        found = self._find(context, singular, 0 if n == 1 else 1)
        return found or (singular if n == 1 else plural)

    def _find(self, context: str | None, message: str, form: int) -> str:
        strings = self.messages.get((context, message), ())
        return strings[min(form, len(strings) - 1)] if strings else ""


@cache
def translator(locale: str) -> Translator:
    """Return the translator of a locale (anything unknown is Chinese); read once per process."""
    name = normal_locale(locale)
    return Translator(name, {} if name == SOURCE_LOCALE else read_catalogs(CATALOG_FOLDER / name))


def read_catalogs(folder: Path) -> dict[Key, tuple[str, ...]]:
    """Read every .po file of a folder. The first file in the alphabet wins a repeated message."""
    found: dict[Key, tuple[str, ...]] = {}
    for path in sorted(folder.glob("*.po")):
        with path.open("rb") as file:
            catalog = read_po(file, locale=folder.name)
        for message in catalog:
            strings = _texts(message.string)
            identity = _texts(message.id)[0]
            if identity and all(strings) and not message.fuzzy:
                found.setdefault((message.context, identity), strings)
    return found


def _texts(value: object) -> tuple[str, ...]:
    """Return the forms of a message: one, or as many as it has plurals."""
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value or ""),)
