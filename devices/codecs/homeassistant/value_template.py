"""`value_template` of Home Assistant: the forms that devices use, read by a grammar of our own.

A template comes over the network from somebody's installation: it is never given to Jinja. Known
are `value`, `value_json` with names and indices, numbers and texts, comparisons, `and or not`,
`a if b else c`, `+ - * /`, and the filters float, int, round, string, lower, upper, trim, abs,
bool, default and is_defined. What else a template may be is refused with a sentence.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from devices.messages import CodecError

MAX_TEMPLATE = 500
"""Longest template in characters."""
_MAX_DEPTH = 20
_MAX_TEXT = 1_000
_OUTER = re.compile(r"\s*\{\{-?(.*?)-?\}\}\s*", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,15}(?:\.\d{1,15})?)|(?P<text>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|>=|<=|[-+*/<>|.,()\[\]]))",
    re.ASCII,
)
_WORDS = frozenset({"if", "else", "and", "or", "not", "is", "true", "false", "none", "defined"})
MISSING: Any = type("Missing", (), {"__repr__": lambda _: "nothing"})()
"""What a path that leads nowhere comes to."""

Scope = Mapping[str, Any]
Node = Callable[[Scope], Any]


class Template:
    """A template that was understood. `render` gives its value, MISSING where there is none."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def render(self, text: str, document: Any) -> Any:
        """The value for a payload: as text, and read as JSON (MISSING when it is not JSON)."""
        scope = {"value": text, "value_json": document}
        try:
            return self._node(scope)
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            return MISSING


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Template:
    """Understand a template. CodecError (bad_template) for what is not of the known forms."""
    match = _OUTER.fullmatch(text) if len(text) <= MAX_TEMPLATE else None
    if match is None or "{%" in text or "{{" in match[1]:
        raise CodecError("bad_template", "the template is not one {{ expression }}")
    parser = _Parser(_tokens(match[1]))
    node = parser.choice(0)
    parser.end()
    return Template(node)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise CodecError("bad_template", "the template has signs that we do not know")
        kind, word = match.lastgroup, match[match.lastgroup]
        if kind == "name" and word.lower() in _WORDS:
            kind, word = "word", word.lower()
        tokens.append((kind, word))
        place = match.end()
    return tokens


class _Parser:
    """Recursive descent, the weakest binding first: choice, or, and, not, comparison, …"""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _accept(self, *words: str) -> str:
        kind, word = self._peek()
        if kind in ("sign", "word") and word in words:
            self._at += 1
            return word
        return ""

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise CodecError("bad_template", f"the template lacks a {word}")

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise CodecError("bad_template", "the template goes on in a way that we do not know")

    def choice(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise CodecError("bad_template", "the template is nested too deeply")
        chosen = self._either(depth)
        if not self._accept("if"):
            return chosen
        condition = self._either(depth)
        self._expect("else")
        other = self.choice(depth + 1)
        return lambda scope: chosen(scope) if _true(condition(scope)) else other(scope)

    def _either(self, depth: int) -> Node:
        left = self._both(depth)
        while self._accept("or"):
            left = _either(left, self._both(depth))
        return left

    def _both(self, depth: int) -> Node:
        left = self._not(depth)
        while self._accept("and"):
            left = _both(left, self._not(depth))
        return left

    def _not(self, depth: int) -> Node:
        if self._accept("not"):
            inner = self._not(depth)
            return lambda scope: not _true(inner(scope))
        return self._comparison(depth)

    def _comparison(self, depth: int) -> Node:
        left = self._sum(depth)
        if sign := self._accept("==", "!=", ">=", "<=", ">", "<"):
            right = self._sum(depth)
            compare = _COMPARE[sign]
            return lambda scope: compare(left(scope), right(scope))
        if self._accept("is"):
            wanted = not self._accept("not")
            self._expect("defined")
            return lambda scope: (left(scope) is not MISSING) is wanted
        return left

    def _sum(self, depth: int) -> Node:
        left = self._product(depth)
        while sign := self._accept("+", "-"):
            left = _arithmetic(sign, left, self._product(depth))
        return left

    def _product(self, depth: int) -> Node:
        left = self._filtered(depth)
        while sign := self._accept("*", "/"):
            left = _arithmetic(sign, left, self._filtered(depth))
        return left

    def _filtered(self, depth: int) -> Node:
        node = self._primary(depth)
        while self._accept("|"):
            kind, name = self._peek()
            if kind != "name" or name not in _FILTERS:
                raise CodecError("bad_template", f"the filter {name[:20]} is none that we know")
            self._at += 1
            node = _filter(name, node, self._arguments())
        return node

    def _arguments(self) -> tuple[Any, ...]:
        """Constants in brackets behind a filter's name."""
        found: list[Any] = []
        if not self._accept("("):
            return ()
        while not self._accept(")"):
            found.append(self._constant())
            if not self._accept(","):
                self._expect(")")
                break
        return tuple(found)

    def _constant(self) -> Any:
        negative = bool(self._accept("-"))
        kind, word = self._peek()
        self._at += 1
        if kind == "number":
            number = float(word) if "." in word else int(word)
            return -number if negative else number
        if kind == "text":
            return word[1:-1]
        if kind == "word" and word in _CONSTANTS:
            return _CONSTANTS[word]
        raise CodecError("bad_template", "the template has something other than a constant there")

    def _primary(self, depth: int) -> Node:
        if self._accept("("):
            inner = self.choice(depth + 1)
            self._expect(")")
            return inner
        kind, word = self._peek()
        if kind == "name":
            self._at += 1
            return self._path(word)
        value = self._constant()
        return lambda _: value

    def _path(self, name: str) -> Node:
        if name not in ("value", "value_json"):
            raise CodecError("bad_template", f"{name[:20]} is nothing that we know")
        keys: list[str | int] = []
        while sign := self._accept(".", "["):
            if sign == ".":
                kind, word = self._peek()
                if kind not in ("name", "word", "number"):
                    raise CodecError("bad_template", "the template has a path without a name")
                self._at += 1
                keys.append(word)
            else:
                key = self._constant()
                self._expect("]")
                keys.append(key if isinstance(key, int) else str(key))
        return lambda scope: _walk(scope[name], keys)


def _walk(value: Any, keys: list[str | int]) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(str(key), MISSING)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return MISSING
    return value


def _true(value: Any) -> bool:
    return value is not MISSING and bool(value)


def _either(left: Node, right: Node) -> Node:
    return lambda scope: value if _true(value := left(scope)) else right(scope)


def _both(left: Node, right: Node) -> Node:
    return lambda scope: right(scope) if _true(value := left(scope)) else value


def _arithmetic(sign: str, left: Node, right: Node) -> Node:
    calculate = _ARITHMETIC[sign]
    return lambda scope: calculate(_number(left(scope)), _number(right(scope)))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: compare(_number(left), _number(right))


def _filter(name: str, node: Node, arguments: tuple[Any, ...]) -> Node:
    function = _FILTERS[name]
    return lambda scope: function(node(scope), arguments)


def _first(arguments: tuple[Any, ...], otherwise: Any = MISSING) -> Any:
    return arguments[0] if arguments else otherwise


def _to_float(value: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        return float(value[:40] if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return _first(arguments)


def _to_int(value: Any, arguments: tuple[Any, ...]) -> Any:
    number = _to_float(value, ())
    try:
        return int(number)
    except (TypeError, ValueError, OverflowError):
        return _first(arguments)


def _to_bool(value: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(value, str):
        return {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False,
                "no": False, "0": False}.get(value.lower(), _first(arguments))  # fmt: skip
    return value if value is MISSING else bool(value)


def _round(value: Any, arguments: tuple[Any, ...]) -> Any:
    digits = _first(arguments, 0)
    return round(_number(value), digits if isinstance(digits, int) and 0 <= digits <= 10 else 0)


def _text(change: Callable[[str], str]) -> Callable[[Any, tuple[Any, ...]], Any]:
    return lambda value, _: value if value is MISSING else change(str(value)[:_MAX_TEXT])


def _default(value: Any, arguments: tuple[Any, ...]) -> Any:
    return _first(arguments, "") if value is MISSING else value


_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "none": None}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    ">=": _ordered(lambda left, right: left >= right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    "<": _ordered(lambda left, right: left < right),
}
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}
_FILTERS: Mapping[str, Callable[[Any, tuple[Any, ...]], Any]] = MappingProxyType(
    {
        "float": _to_float,
        "int": _to_int,
        "bool": _to_bool,
        "round": _round,
        "abs": lambda value, _: abs(_number(value)),
        "string": _text(str),
        "lower": _text(str.lower),
        "upper": _text(str.upper),
        "trim": _text(str.strip),
        "default": _default,
        "is_defined": lambda value, _: value,
    }
)
