"""The divisions that come with the program (README.md in this folder names the source)."""

import csv
from functools import cache
from importlib import resources

from kernel.divisions.model import Division

# Residence permits of people from Taiwan use it, no division does.
_PERMIT_CODES = frozenset({"830000"})


def read() -> list[Division]:
    """Return the bundled divisions, about 4,800."""
    text = resources.files("kernel.divisions").joinpath("divisions.csv").read_text("utf-8")
    return [
        Division(row["code"], row["name"], int(row["level"]), row["parent"] or None)
        for row in csv.DictReader(text.splitlines())
    ]


@cache
def county_codes() -> frozenset[str]:
    """Return the six-digit codes of provinces, cities and counties, as ID numbers begin."""
    return _PERMIT_CODES | {one.code[:6] for one in read() if one.level <= 3}
