"""docs/protocol.md, docs/schema and the decoder of protocol v1 say the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from devices.alarms import AlarmKind
from devices.codecs.silverline_v1 import CODEC, decode
from devices.messages import CodecError, Frame
from devices.metrics import METRICS
from tests.contract.codec_frames import Sample, samples

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "protocol.md").read_text("utf-8")
SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in DOCS.glob("schema/*.json")}
KINDS = ["vitals", "alarm", "status", "location", "ack"]
# What does not go over MQTT from a device: commands go down, registration over HTTPS.
NO_MESSAGES = {"command", "provision", "provisioned"}
EXAMPLES = re.findall(r"```json (\w+)\n(.*?)```", PAGE, re.DOTALL)
MESSAGES = [each for each in EXAMPLES if each[0] not in NO_MESSAGES]
FRAMES = [s for s in samples() if s.codec == "silverline_v1"]
# What a device must not send, and the server takes all the same.
TAKEN_LENIENTLY = {
    "a metric that the server does not know is left out",
    "a bad position does not cost the alarm",
    "nor does a bad detail",
    "nor does a clock gone mad",
    "a bad element leaves the others",
}


def validator(kind: str) -> Draft202012Validator:
    registry = Registry().with_resources(
        (f"{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
    )
    return Draft202012Validator(SCHEMAS[kind], registry=registry)


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading of the page."""
    section = PAGE.split(heading, 1)[1]
    rows = re.search(r"\n(\|.*?)\n\n", section, re.DOTALL)
    assert rows is not None
    cells = [re.split(r"\s*\|\s*", row.strip("| ")) for row in rows[1].splitlines()]
    return cells[2:]


@pytest.mark.parametrize("kind", [*KINDS, *sorted(NO_MESSAGES), "common"])
def test_a_schema_is_a_schema(kind: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[kind])


@pytest.mark.parametrize(("kind", "text"), EXAMPLES)
def test_an_example_of_the_page_fits_its_schema(kind: str, text: str) -> None:
    validator(kind).validate(json.loads(text))


@pytest.mark.parametrize(("kind", "text"), MESSAGES)
def test_an_example_of_the_page_is_decoded_without_a_warning(kind: str, text: str) -> None:
    decoded = decode(Frame(text.encode(), f"silverline/v1/H-0001/{kind}"))
    assert decoded.messages
    assert (decoded.warnings, decoded.rejects) == ((), ())


def test_the_page_has_an_example_of_everything() -> None:
    assert {kind for kind, _ in EXAMPLES} == {*KINDS, *NO_MESSAGES}


@pytest.mark.parametrize("sample", FRAMES, ids=str)
def test_schema_and_decoder_agree_about_a_frame(sample: Sample) -> None:
    kind = sample.entry["topic"].rpartition("/")[2]
    error = sample.entry.get("error")
    if kind not in KINDS or error in {"malformed_json", "bad_device_id", "unknown_topic"}:
        return
    fits = validator(kind).is_valid(json.loads(sample.entry["text"]))
    assert fits is (error is None and sample.entry["title"] not in TAKEN_LENIENTLY)


def test_the_page_lists_every_metric_as_the_catalogue_has_it() -> None:
    rows = {row[0].strip("`"): row for row in table("## 4. vitals")}
    assert set(rows) == set(METRICS)
    for code, metric in METRICS.items():
        assert f"`{metric.ucum}`" in rows[code][2], code
        assert rows[code][3] == (metric.loinc or ""), code
        bounds = f"{metric.plausible_min:g} … {metric.plausible_max:.0f}".replace("-", "−")
        assert rows[code][4] == bounds, code


def test_the_page_and_the_schema_list_every_kind_of_alarm() -> None:
    section = PAGE.split("## 5. alarm", 1)[1].split("## 6.", 1)[0]
    named = set(re.findall(r"`([a-z0-9_]+)`", section))
    kinds = {kind.value for kind in AlarmKind}
    assert kinds <= named
    assert set(SCHEMAS["alarm"]["$defs"]["message"]["properties"]["alarm"]["enum"]) == kinds


def test_page_schema_and_encoder_know_the_same_commands() -> None:
    rows = PAGE.split("| name | args |", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"^\| `(\w+)`", rows, re.MULTILINE)) == CODEC.commands
    assert set(SCHEMAS["command"]["properties"]["name"]["enum"]) == CODEC.commands


def test_the_schema_of_vitals_has_every_metric() -> None:
    message = SCHEMAS["vitals"]["$defs"]["message"]
    assert set(message["properties"]["vitals"]["properties"]) == set(METRICS)


def test_every_reason_that_the_decoder_gives_is_on_the_page() -> None:
    section = PAGE.split("### Messages that cannot be used", 1)[1].split("## 11.", 1)[0]
    given = {sample.entry["error"] for sample in FRAMES if "error" in sample.entry}
    given.add("oversized")
    assert given <= set(re.findall(r"`([a-z_]+)`", section))


def test_a_message_without_anything_is_refused_by_both() -> None:
    for kind in KINDS:
        assert not validator(kind).is_valid({})
        with pytest.raises(CodecError):
            decode(Frame(b"{}", f"silverline/v1/W-0001/{kind}"))


def rule(name: str) -> Any:
    return SCHEMAS["common"]["$defs"][name]


def test_the_limits_of_the_schema_are_those_of_the_page() -> None:
    batch = SCHEMAS["vitals"]["$defs"]["batch"]["properties"]["batch"]
    assert (batch["minItems"], batch["maxItems"]) == (1, 500)
    assert rule("seq")["maximum"] == 2**63 - 1
    assert rule("device_id")["pattern"].strip("^$") in PAGE
