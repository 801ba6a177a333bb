"""Reading profile files: TOML, one table a model, checked down to the last key.

A file may begin with a table `defaults`, whose values every model of the file has unless it says
otherwise; its alarm rules are added to those of the model, for kinds that the model has no rule
for. A mistake is a ProfileError that names the file, the model and the key.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from devices.alarms import AlarmKind
from devices.codecs import CODECS
from devices.downlink import CommandName
from devices.messages import Scalar
from devices.metrics import METRICS, Metric
from devices.profiles.model import AlarmRule, Capability, DeviceType, Profile

_CODE = re.compile(r"[a-z0-9][a-z0-9-]{1,63}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]+(/([A-Za-z0-9_-]+|\{device_id\}))*")
_KEYS = frozenset(
    {"title", "vendor", "codec", "type", "capabilities", "metrics", "heartbeat_seconds"}
    | {"offline_after_seconds", "low_battery_percent", "alarms", "base_topics", "models", "note"}
    | {"self_test_days", "commands", "forms"}
)
_RULE_KEYS = frozenset({"kind", "field", "active", "inactive", "level"})
_MAX_SECONDS = 30 * 86_400
_TEST_DAYS = 30
_CALLS_FOR_HELP = frozenset({"sos", "fall", "smoke", "gas"})

Word = TypeVar("Word", bound=StrEnum)


class ProfileError(ValueError):
    """A profile cannot be used; the text says which, in which file, and why."""


def load_profiles(paths: Iterable[Path]) -> dict[str, Profile]:
    """All profiles of these files by code. Raises ProfileError; no two may have one code."""
    profiles: dict[str, Profile] = {}
    for path in sorted(paths):
        for profile in parse_profiles(path.read_text("utf-8"), path.name):
            if profile.code in profiles:
                raise ProfileError(f"{path.name}: {profile.code}: there is one already")
            profiles[profile.code] = profile
    return profiles


def parse_profiles(text: str, source: str) -> list[Profile]:
    """The profiles of one file's text; `source` names it in errors."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{source}: not TOML: {error}") from error
    defaults = document.pop("defaults", {})
    if not isinstance(defaults, dict):
        raise ProfileError(f"{source}: defaults must be a table")
    return [
        _Table(f"{source}: {code}", entry, defaults).profile(code)
        for code, entry in document.items()
    ]


class _Table:
    """One model's table over the defaults of its file."""

    def __init__(self, where: str, entry: Any, defaults: Mapping[str, Any]) -> None:
        self._where = where
        if not isinstance(entry, dict):
            raise self._wrong("must be a table")
        self._own = entry
        self._all = {**defaults, **entry}
        self._common_alarms = defaults.get("alarms", [])

    def _wrong(self, text: str) -> ProfileError:
        return ProfileError(f"{self._where}: {text}")

    def profile(self, code: str) -> Profile:
        if _CODE.fullmatch(code) is None:
            raise self._wrong("a code has small letters, digits and -")
        if unknown := sorted(set(self._all) - _KEYS):
            raise self._wrong(f"unknown key {unknown[0]}")
        title = self._title()
        heartbeat = self._integer("heartbeat_seconds", 1, _MAX_SECONDS)
        offline = self._integer("offline_after_seconds", 1, _MAX_SECONDS)
        if offline <= heartbeat:
            raise self._wrong("offline_after_seconds must be more than heartbeat_seconds")
        battery = self._all.get("low_battery_percent")
        profile = Profile(
            code=code,
            title_zh=title["zh"],
            title_en=title["en"],
            vendor=self._text("vendor", ""),
            codec=self._codec(),
            type=self._word(DeviceType, "type", self._all.get("type")),
            capabilities=frozenset(
                self._word(Capability, "capabilities", word) for word in self._list("capabilities")
            ),
            metrics=self._metrics(),
            heartbeat_seconds=heartbeat,
            offline_after_seconds=offline,
            low_battery_percent=(
                None if battery is None else self._integer("low_battery_percent", 1, 99)
            ),
            alarms=self._alarms(),
            self_test_days=self._self_test_days(),
            base_topics=self._topics(),
            models=tuple(self._texts("models")),
            note=self._text("note", ""),
            commands=self._commands(),
            forms=self._forms(),
        )
        own = all("{device_id}" in topic for topic in profile.base_topics)
        if not own and profile.type is not DeviceType.GATEWAY:
            raise self._wrong("only a gateway has base_topics without {device_id}")
        return profile

    def _title(self) -> Mapping[str, str]:
        title = self._all.get("title")
        if not isinstance(title, dict) or set(title) != {"zh", "en"}:
            raise self._wrong("title must have exactly zh and en")
        if not all(isinstance(word, str) and word for word in title.values()):
            raise self._wrong("title must be text")
        return title

    def _text(self, key: str, default: str) -> str:
        value = self._all.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(f"{key} must be text")
        return value

    def _list(self, key: str) -> list[Any]:
        value = self._all.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(f"{key} must be a list")
        return value

    def _texts(self, key: str) -> list[str]:
        values = self._list(key)
        if not all(isinstance(value, str) and value for value in values):
            raise self._wrong(f"{key} must be a list of texts")
        return values

    def _integer(self, key: str, low: int, high: int) -> int:
        value = self._all.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(f"{key} must be a whole number from {low} to {high}")
        return value

    def _word(self, words: type[Word], key: str, value: Any) -> Word:
        try:
            return words(value)
        except ValueError as error:
            raise self._wrong(f"{key}: {value!r} is none of {', '.join(words)}") from error

    def _codec(self) -> str:
        codec = self._text("codec", "")
        if codec not in CODECS:
            raise self._wrong(f"codec: {codec!r} is none of {', '.join(CODECS)}")
        return codec

    def _commands(self) -> frozenset[CommandName] | None:
        if "commands" not in self._all:
            return None
        return frozenset(self._command("commands", name) for name in self._list("commands"))

    def _forms(self) -> Mapping[CommandName, str]:
        forms = self._all.get("forms", {})
        if not isinstance(forms, dict) or not all(
            isinstance(form, str) and form for form in forms.values()
        ):
            raise self._wrong("forms must be a table of command and text")
        return MappingProxyType({self._command("forms", name): forms[name] for name in forms})

    def _command(self, key: str, value: Any) -> CommandName:
        name = self._word(CommandName, key, value)
        if name not in CODECS[self._codec()].commands:
            raise self._wrong(f"{key}: {self._codec()} has no form for {name}")
        if Capability.COMMANDS not in self._list("capabilities"):
            raise self._wrong(f"{key} without the capability commands")
        return name

    def _self_test_days(self) -> int:
        """As the model says; a month for what calls for help, nothing for the others."""
        if "self_test_days" in self._all:
            return self._integer("self_test_days", 0, 366)
        return _TEST_DAYS if _CALLS_FOR_HELP & set(self._list("capabilities")) else 0

    def _topics(self) -> tuple[str, ...]:
        topics = self._texts("base_topics")
        for topic in topics:
            if _TOPIC.fullmatch(topic) is None or topic.startswith("silverline"):
                raise self._wrong(f"base_topics: {topic!r} must be levels of letters and digits")
        return tuple(topics)

    def _metrics(self) -> tuple[Metric, ...]:
        units = self._all.get("metrics", {})
        if not isinstance(units, dict):
            raise self._wrong("metrics must be a table of metric and unit")
        for code, unit in units.items():
            if code not in METRICS:
                raise self._wrong(f"metrics: there is no metric {code}")
            if unit != METRICS[code].ucum:
                raise self._wrong(f"metrics: {code} is in {METRICS[code].ucum}, not in {unit}")
        return tuple(METRICS[code] for code in units)

    def _alarms(self) -> tuple[AlarmRule, ...]:
        own = [self._rule(rule) for rule in self._rules(self._own.get("alarms", []))]
        kinds = {rule.kind for rule in own}
        common = (self._rule(rule) for rule in self._rules(self._common_alarms))
        return (*own, *(rule for rule in common if rule.kind not in kinds))

    def _rules(self, rules: Any) -> list[dict[str, Any]]:
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise self._wrong("alarms must be a list of tables")
        return rules

    def _rule(self, rule: dict[str, Any]) -> AlarmRule:
        if unknown := sorted(set(rule) - _RULE_KEYS):
            raise self._wrong(f"alarms: unknown key {unknown[0]}")
        kind = self._word(AlarmKind, "alarms: kind", rule.get("kind"))
        field, level = rule.get("field"), rule.get("level", True)
        if not isinstance(field, str) or not field:
            raise self._wrong("alarms: field is missing")
        if not isinstance(level, bool):
            raise self._wrong("alarms: level must be true or false")
        active = self._values(rule, "active")
        if not active:
            raise self._wrong(f"alarms: {kind} has no active value")
        return AlarmRule(kind, field, active, self._values(rule, "inactive"), level)

    def _values(self, rule: dict[str, Any], key: str) -> tuple[Scalar, ...]:
        value = rule.get(key, [])
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | bool | int | float) for each in values):
            raise self._wrong(f"alarms: {key} must be a value or a list of values")
        return tuple(values)
