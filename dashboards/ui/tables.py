"""The cells of a row know their column, so that a narrow window can fold rows into cards."""

import re
from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

# Template text is escaped: a ">" ends the tag.
_CELL = re.compile(r"<(td|th)(\s[^>]*)?>")
_ROLES = {"td": "cell", "th": "rowheader"}


def labelled(cells: str, columns: Sequence[tuple[str, str, str, bool]]) -> Markup:
    """Give each cell of one row the name of its column and the role of what it is.

    A folded row is no table to a browser any more; the roles keep it one for screen readers.
    `cells` is the row's HTML, cells only, without a table inside; `columns` as the macro has them.
    """
    names: Iterator[str] = (label for _key, label, _align, _sortable in columns)

    def marked(found: re.Match[str]) -> str:
        tag = found[1]
        name = escape(next(names, ""))
        return f'<{tag}{found[2] or ""} role="{_ROLES[tag]}" data-label="{name}">'

    # The cells come from a template and are escaped already; names are escaped above.
    return Markup(_CELL.sub(marked, cells))  # noqa: S704
