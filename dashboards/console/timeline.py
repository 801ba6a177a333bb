"""The sentence of a line on an incident's timeline, in the reader's language."""

from dashboards.ui.i18n import Translator
from dashboards.ui.words import GROUPS, word
from hotline.incidents.model import Event
from hotline.incidents.timeline import describe


def sentence(event: Event, tr: Translator) -> str:
    """Return what happened in words; what people wrote stays as they wrote it."""
    phrase = describe(event)
    words = {name: _word(code, group, tr) for name, (group, code) in phrase.words.items()}
    return tr.gettext(phrase.text) % {**phrase.values, **words}


def _word(code: str, group: str, tr: Translator) -> str:
    """Return a code's word; whom a call was for stands inside the sentence, one of a kind."""
    if group == "contact_purpose":
        return tr.pgettext("in a sentence", GROUPS[group].get(code, code))
    return word(code, group, tr)
