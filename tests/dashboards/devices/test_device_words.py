"""The words of the devices' pages fit the codes of the registry."""

import re
from pathlib import Path

from dashboards.console.audit.words import ACTIONS
from dashboards.console.devices import words
from dashboards.console.devices.readings import SWITCHES
from dashboards.ui.i18n import translator
from dashboards.ui.words import DEVICE_REASON, DEVICE_STATUS, DEVICE_TYPE, METRIC, METRIC_UNIT
from devices.commands.model import ENDED_EARLY
from devices.commands.service import NOT_SAID
from devices.downlink import PLATFORM_WORDS, RESULTS, UNSAYABLE
from devices.metrics import METRICS
from devices.modes.model import DeviceMode
from devices.profiles import Capability, DeviceType
from devices.registry.machine import REASONS, DeviceAction
from devices.registry.model import Connection, DeviceState

# How devices come in, beside the registry.
ENTRIES = ("claims", "certificates", "provisioning")
# What programs are told, and the command line; no page asks for it.
SAID_IN_ENGLISH = {"hardware.form", "body.too_long", "names.form", "names.required"}
# What the pages find out themselves, or make of a conflict.
SAID_BY_PAGES = {
    "devices.required", "devices.too_many", "code.not_in_stock", "paper.unknown", "device.unknown",
    "csr.no_authority", "csr.retired", "certificate.known",
}  # fmt: skip
MODE_STEPS = ("started", "renewed", "ended", "expired")


def registry_sources(project: Path, *more: str) -> str:
    parts = ("registry", *more)
    files = [path for part in parts for path in (project / "devices" / part).glob("*.py")]
    return "\n".join(path.read_text("utf-8") for path in sorted(files))


def test_every_action_reason_and_state_has_a_word() -> None:
    assert set(words.ACTION) == set(DeviceAction)
    assert set(words.EFFECT) == set(REASONS)
    reasons = {reason for codes in REASONS.values() for reason in codes}
    assert set(DEVICE_REASON) == reasons | {"rebound", "moved_room"}
    assert set(words.STATE_TONE) == set(DeviceState) == set(DEVICE_STATUS)
    assert set(words.CONNECTION) == set(Connection) == set(words.CONNECTION_TONE)
    assert set(words.CAPABILITY) == set(Capability)
    assert set(DeviceType) == set(DEVICE_TYPE)
    assert set(words.MODE) == set(words.MODE_EFFECT) == set(DeviceMode)
    assert {f"device_{mode}" for mode in DeviceMode} <= set(words.SUPPRESSED)


def test_everything_that_is_said_of_a_command_has_words() -> None:
    not_sent = {NOT_SAID + reason for reason in UNSAYABLE}
    assert set(words.COMMAND_DETAIL) == not_sent | PLATFORM_WORDS | RESULTS | ENDED_EARLY


def test_every_change_in_the_log_can_be_told(project: Path) -> None:
    noted = set(re.findall(r'"(device\.[a-z_]+)"', registry_sources(project, *ENTRIES)))
    commands = (project / "devices/commands/service.py").read_text("utf-8")
    noted |= set(re.findall(r'actor, "(device\.[a-z_]+)"', commands))
    assert {"device.bound", "device.credential_rotated"} <= noted
    # The first two are no longer written; logs of before have them.
    noted |= {"device.paused", "device.resumed"}
    # Of what discovery notes this alone is on a device; a find that is ignored is none yet.
    noted.add("device.adopted")
    noted |= {f"device.{mode}_{step}" for mode in DeviceMode for step in MODE_STEPS}
    assert noted - {"device.viewed", "device.exported"} == set(words.CHANGE)
    assert noted <= set(ACTIONS)


def test_every_problem_has_a_sentence(project: Path) -> None:
    sources = registry_sources(project, "modes", *ENTRIES)
    noted = set(re.findall(r'fields\["(\w+)"\] = "(\w+)"', sources))
    noted |= set(re.findall(r'\{"(\w+)": "(\w+)"\}', sources))
    assert ("gateway_id", "itself") in noted
    noted.add(("mode", "required"))
    codes = {f"{field}.{code}" for field, code in noted}
    assert codes - SAID_IN_ENGLISH | SAID_BY_PAGES == set(words.PROBLEM)
    shown = {field: code for field, code in noted if f"{field}.{code}" in words.PROBLEM}
    said = words.errors_of(shown, translator("zh"))
    assert list(said)[:3] == ["device_id", "profile", "division_code"]


def test_every_yes_or_no_is_put_into_words() -> None:
    assert set(SWITCHES) == {m.code for m in METRICS.values() if m.ucum == "{0,1}"}


def test_a_vital_sign_has_one_name_and_one_unit_on_every_page() -> None:
    english = translator("en")
    for code in METRIC.keys() & METRICS.keys():
        metric = METRICS[code]
        assert (METRIC[code], english.gettext(METRIC[code])) == (metric.name_zh, metric.name_en)
        unit = METRIC_UNIT[code]
        assert (unit, english.gettext(unit)) == (metric.unit_zh, metric.unit_en)
