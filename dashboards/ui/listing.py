"""A list page's state, kept in its URL: search, filters, sorting and paging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

PER_PAGE = 50
LONGEST_FILTER = 1000
"""Most characters of a filter in an address: a sealed search of 200 has some 900."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Where a person stands in a list of `total` rows; pages count from 1.

    `filters` are the other parameters of the URL (search text `q`, chosen filters).
    """

    path: str
    sort: str
    descending: bool = False
    page: int = 1
    per_page: int = PER_PAGE
    total: int = 0
    filters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_query(
        cls,
        path: str,
        query: Mapping[str, str],
        *,
        sorts: Sequence[str],
        filters: Sequence[str] = ("q",),
        per_page: int = PER_PAGE,
    ) -> "Listing":
        """Read a query string. An unknown sort or page falls back to the first, never an error."""
        wish = query.get("sort", "")
        name = wish.removeprefix("-")
        known = name in sorts
        page = query.get("page", "1")
        # No database takes a NUL; browsers and proxies take no address of megabytes.
        said = {
            key: query.get(key, "").replace("\0", "").strip()[:LONGEST_FILTER] for key in filters
        }
        return cls(
            path=path,
            sort=name if known else sorts[0].removeprefix("-"),
            descending=wish.startswith("-") if known else sorts[0].startswith("-"),
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
            per_page=per_page,
            filters={key: text for key, text in said.items() if text},
        )

    def of(self, total: int) -> "Listing":
        """Return the listing with its count; a page behind the end becomes the last one."""
        last = max(1, -(-total // self.per_page))
        return replace(self, total=total, page=min(self.page, last))

    @property
    def offset(self) -> int:
        """Rows to skip (SQL OFFSET)."""
        return (self.page - 1) * self.per_page

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, -(-self.total // self.per_page))

    @property
    def first(self) -> int:
        """Number of the first row on this page, 0 when the list is empty."""
        return self.offset + 1 if self.total else 0

    @property
    def last(self) -> int:
        """Number of the last row on this page."""
        return min(self.offset + self.per_page, self.total)

    def shown_pages(self) -> list[int | None]:
        """Pages to link: the ends and two around the current one; None is an ellipsis."""
        near = {1, self.pages, *range(self.page - 2, self.page + 3)}
        shown: list[int | None] = []
        for number in sorted(n for n in near if 1 <= n <= self.pages):
            if shown and number - (shown[-1] or 0) > 1:
                shown.append(None)
            shown.append(number)
        return shown

    def url(self, **changes: str | int | None) -> str:
        """Return this list's URL with changes; a new sort or filter starts on page 1 again."""
        merged: dict[str, str | int | None] = dict(self.filters)
        merged["sort"] = f"-{self.sort}" if self.descending else self.sort
        if not changes.keys() - {"page"}:
            merged["page"] = self.page
        merged.update(changes)
        pairs = {key: value for key, value in merged.items() if value not in (None, "")}
        if pairs.get("page") == 1:
            del pairs["page"]
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path

    def sort_url(self, name: str) -> str:
        """Return the URL that sorts by a column, or turns the order when it already does."""
        turned = name == self.sort and not self.descending
        return self.url(sort=f"-{name}" if turned else name)
