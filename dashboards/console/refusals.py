"""The sentence of a refusal in the reader's language, where the facts of the error make one."""

from dashboards.ui.i18n import N_, Translator
from kernel.errors import Conflict, DomainError, RateLimited


def refusal_sentence(error: DomainError, tr: Translator) -> str:
    """Return a sentence, or "" when the general words of the status say enough."""
    if isinstance(error, Conflict) and error.facts.get("by"):
        return tr.gettext(N_("%(who)s 已先处理，您的操作没有生效。")) % {"who": error.facts["by"]}
    if isinstance(error, RateLimited) and error.facts.get("retry_after"):
        seconds = int(error.facts["retry_after"])
        return tr.gettext(N_("请在 %(seconds)s 秒后再试。")) % {"seconds": seconds}
    return ""
