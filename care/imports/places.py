"""Finds the division that a list means by a code, a name, or the beginning of an address. Pure."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from kernel.divisions.codes import significant_prefix

_SEPARATORS = re.compile(r"[\s\-‐-―—/>,、,·.]+")
_SUFFIXES = (
    "社区居民委员会", "社区居委会", "居民委员会", "居委会", "村民委员会", "村委会", "街道办事处",
    "社区", "街道", "嘎查", "苏木", "地区", "自治区", "市", "区", "县", "旗", "镇", "乡", "村",
    "省", "盟",
)  # fmt: skip


class Places:
    """The divisions that a list may name: those within the scope of whoever imports it."""

    def __init__(self, divisions: Iterable[tuple[str, str]]) -> None:
        """Take pairs of a 12-digit code and a name."""
        self._names: dict[str, str] = {}
        self._full: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._short: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for code, name in divisions:
            self._names[code] = name
            plain = _plain(name)
            if plain:
                self._full[plain[0]].append((plain, code))
                self._short[plain[0]] += [(one, code) for one in _short_names(plain)]

    def code_of(self, text: str) -> list[str]:
        """Return the codes that the whole text may mean: one is an answer, several are not."""
        digits = _plain(text)
        if digits.isascii() and digits.isdigit():
            code = digits.ljust(12, "0")
            return [code] if code in self._names else []
        return sorted(code for code, rest in self._deepest(digits) if not rest)

    def name_of(self, code: str) -> str:
        """Return the name of a division with its county's, "" for one that is not known."""
        own = self._names.get(code, "")
        county = self._names.get(code[:6] + "000000", "") if code else ""
        return own if own == county or not county else f"{county} {own}"

    def code_at_start(self, address: str) -> str | None:
        """Return the deepest division at the beginning of an address, None when unclear.

        Only by whole names, and at least to the county: 丽苑小区 need not lie in 丽苑社区.
        """
        found = self._readings(_plain(address), "", full_only=True)
        codes = {code for code, _ in found if len(significant_prefix(code)) >= 6}
        return codes.pop() if len(codes) == 1 else None

    def _deepest(self, text: str) -> set[tuple[str, str]]:
        """Return (code, rest of the text) of the readings that leave the shortest rest."""
        found = self._readings(text, "", full_only=True) or set()
        if not any(not rest for _, rest in found):
            found |= self._readings(text, "", full_only=False)
        shortest = min((len(rest) for _, rest in found), default=0)
        return {(code, rest) for code, rest in found if len(rest) == shortest}

    def _readings(self, text: str, below: str, *, full_only: bool) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for name, code in self._starting(text, full_only=full_only):
            inside = significant_prefix(code)
            if not text.startswith(name) or not inside.startswith(below) or inside == below:
                continue
            rest = text[len(name) :]
            deeper = self._readings(rest, inside, full_only=full_only) if rest else set()
            found |= deeper or {(code, rest)}
        return found

    def _starting(self, text: str, *, full_only: bool) -> list[tuple[str, str]]:
        if not text:
            return []
        full = self._full.get(text[0], [])
        return full if full_only else full + self._short.get(text[0], [])


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", text))


def _short_names(name: str) -> list[str]:
    """Return what people write for it: 公主府社区居委会 → 公主府社区, 公主府."""
    found: list[str] = []
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and len(name) - len(suffix) >= 2:
            bare = name.removesuffix(suffix)
            found.append(bare)
            if suffix.startswith("社区") and suffix != "社区":
                found.append(bare + "社区")
            if suffix.startswith(("村民", "村委")):
                found.append(bare + "村")
            if suffix == "街道":
                found.append(bare + "街道办事处")
            break
    return found
