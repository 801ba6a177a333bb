"""A division, and what is wrong with a file of them."""

from dataclasses import dataclass
from datetime import date

from kernel.errors import Invalid


@dataclass(frozen=True, slots=True)
class Division:
    """A place in the five levels; `valid_to` is the day on which the code was abolished."""

    code: str
    name: str
    level: int
    parent: str | None
    valid_from: date | None = None
    valid_to: date | None = None


class DivisionImportError(Invalid):
    """A file cannot be imported; `fields` has a sentence for each wrong line ("line 7")."""

    code = "division_import"
