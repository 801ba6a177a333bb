"""What is limited: how many failures of whom within which time."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` failed attempts of a kind by one party within `window`."""

    kind: str
    most: int
    window: timedelta


# Of 2^50 codes a patient person would try a thousand a day.
CLAIM_BY_PERSON = Limit("claim", 10, timedelta(minutes=15))
# A batch is switched on behind one address; only wrong keys count.
ENROL_BY_ADDRESS = Limit("enrol", 30, timedelta(minutes=15))
