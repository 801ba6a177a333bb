"""The metric catalogue: every quantity that a reading can be of, with its codes and its unit.

The words are data (`metrics.toml`), read once at import. A codec names a metric by its code, the
reading tables by its number, the FHIR export by its LOINC code and UCUM unit.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

_FILE = Path(__file__).with_name("metrics.toml")
_SMALLINT = 32_767
_KEYS = frozenset({"id", "name", "loinc", "ucum", "unit", "low", "high"})


class CatalogueError(ValueError):
    """The catalogue file is wrong; the text says where and how."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity. `ucum` is the unit of every stored value of it.

    `plausible_min` and `plausible_max` are inclusive and say what can be true at all, not what is
    healthy: see `plausible`.
    """

    code: str
    id: int
    name_zh: str
    name_en: str
    loinc: str | None
    ucum: str
    unit_zh: str
    unit_en: str
    plausible_min: float
    plausible_max: float

    def plausible(self, value: float) -> bool:
        """Whether a living body, a home or a working sensor can show this value at all."""
        return self.plausible_min <= value <= self.plausible_max


def parse_metrics(text: str) -> dict[str, Metric]:
    """Read a catalogue (TOML). Raises CatalogueError that names the entry and what is wrong."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"not TOML: {error}") from error
    metrics = {code: _metric(code, entry) for code, entry in document.items()}
    owners: dict[int, str] = {}
    for metric in metrics.values():
        other = owners.setdefault(metric.id, metric.code)
        if other != metric.code:
            raise CatalogueError(f"{metric.code}: id {metric.id} already belongs to {other}")
    return metrics


def _metric(code: str, entry: Any) -> Metric:
    if not isinstance(entry, dict):
        raise CatalogueError(f"{code}: must be a table")
    if unknown := sorted(set(entry) - _KEYS):
        raise CatalogueError(f"{code}: unknown key {unknown[0]}")
    number = entry.get("id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= _SMALLINT:
        raise CatalogueError(f"{code}: id must be a whole number from 1 to {_SMALLINT}")
    low, high = (_number(code, entry, key) for key in ("low", "high"))
    if low >= high:
        raise CatalogueError(f"{code}: low must be below high")
    ucum, loinc = entry.get("ucum"), entry.get("loinc")
    if not isinstance(ucum, str) or not ucum:
        raise CatalogueError(f"{code}: ucum is missing")
    if loinc is not None and not isinstance(loinc, str):
        raise CatalogueError(f"{code}: loinc must be text")
    name_zh, name_en = _words(code, entry, "name")
    unit_zh, unit_en = _words(code, entry, "unit")
    if not name_zh or not name_en:
        raise CatalogueError(f"{code}: name must not be empty")
    return Metric(code, number, name_zh, name_en, loinc, ucum, unit_zh, unit_en, low, high)


def _number(code: str, entry: dict[str, Any], key: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CatalogueError(f"{code}: {key} must be a number")
    return float(value)


def _words(code: str, entry: dict[str, Any], key: str) -> tuple[str, str]:
    words = entry.get(key)
    if not isinstance(words, dict) or set(words) != {"zh", "en"}:
        raise CatalogueError(f"{code}: {key} must have exactly zh and en")
    if not all(isinstance(word, str) for word in words.values()):
        raise CatalogueError(f"{code}: {key} must be text")
    return words["zh"], words["en"]


METRICS: Mapping[str, Metric] = MappingProxyType(parse_metrics(_FILE.read_text("utf-8")))
_BY_ID = {metric.id: metric for metric in METRICS.values()}


def by_id(number: int) -> Metric:
    """The metric with this number. Raises KeyError for a number that was never given."""
    return _BY_ID[number]
