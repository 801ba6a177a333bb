"""What can be wrong with what was entered, as codes with an English sentence each.

Pages show their own sentence for a code (dashboards/console/elders/words.py); a test keeps the two
lists equal.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from kernel import resident_id
from kernel.errors import Invalid


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with one field, or worth a second look when it is a warning.

    `field` is a path such as `name`, `phones.0.number` or `thresholds.spo2.low_major`; `code` is a
    key of SENTENCES. `facts` fill the sentence and never hold what a person entered.
    """

    field: str
    code: str
    facts: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.field}: {self.code}"

    @property
    def sentence(self) -> str:
        """The English sentence."""
        return SENTENCES[self.code] % self.facts


SENTENCES: Mapping[str, str] = {
    **resident_id.PROBLEMS,
    **resident_id.WARNINGS,
    "id_number_rounded": "The spreadsheet has rounded this number; type it as text.",
    "perhaps_registered": "Somebody with this name and number is registered already.",
    "required": "This is needed.",
    "too_long": "At most %(limit)s characters fit here.",
    "too_many": "At most %(limit)s entries fit here.",
    "unknown_choice": "This is none of the choices.",
    "name_characters": "A name has letters, spaces and middle dots only.",
    "division_code": "The division code must be 12 digits.",
    "division_unknown": "There is no such division.",
    "division_outside": "This division is outside of your area.",
    "division_ambiguous": "Several divisions have this name; write it with the district.",
    "id_number_taken": "Somebody with this ID number is already registered.",
    "id_number_taken_in_file": "Row %(row)s of this file has the same ID number.",
    "sex_disagrees": "The ID number says otherwise.",
    "birth_date_disagrees": "The ID number says otherwise.",
    "date_unreadable": "This is not a date; write it as 1943-05-01.",
    "date_in_future": "This day has not come yet.",
    "too_old": "Nobody is over %(limit)s years old.",
    "under_60": "This person is under 60.",
    "phone": "This is not a telephone number that can be called.",
    "phone_twice": "This number is there twice.",
    "phone_is_own": "This is the elder's own number.",
    "number_unreadable": "This is not a number.",
    "position_half": "A position needs both latitude and longitude.",
    "position_range": "This lies outside of the earth's degrees.",
    "position_abroad": "This position lies outside of China.",
    "limits_order": "The limits must rise from low critical to high critical.",
    "limits_range": "This metric lies between %(low)s and %(high)s.",
    "metric_unknown": "This metric cannot have limits.",
    "minutes_range": "Between %(low)s and %(high)s minutes.",
    "radius_range": "Between %(low)s and %(high)s metres.",
    "fence_incomplete": "A fence needs a centre and a radius.",
    "doors_order": "The critical time must not be shorter than the other one.",
    "already_given": "This consent was already given and not withdrawn.",
    "heading_missing": "No row of headings with a column of names was found.",
    "no_rows": "There are no rows below the headings.",
}


def raise_if(problems: Sequence[Problem]) -> None:
    """Raise Invalid when there is a problem; `facts["problems"]` has them all."""
    if problems:
        raise invalid(problems)


def invalid(problems: Iterable[Problem]) -> Invalid:
    """Return the error for some problems, the first one of each field in `fields`."""
    found = tuple(problems)
    fields: dict[str, str] = {}
    for problem in found:
        fields.setdefault(problem.field, problem.sentence)
    return Invalid("Some of what was entered cannot be accepted.", fields, problems=found)
