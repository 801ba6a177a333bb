"""What docs/devices.md says is so: every codec, every model, every example."""

import json
import re
from pathlib import Path

import pytest

from app.settings import Settings
from app.wiring import ingest_settings
from devices.codecs import CODECS
from devices.messages import Frame
from devices.profiles import PROFILES
from ingest.push.adapters import ADAPTERS
from ingest.push.model import Push

QUERY = {"event": "up", "device": "G-0001", "kind": "vitals", "gateway": "GW-0001"}


@pytest.fixture
def text(project: Path) -> str:
    return (project / "docs/devices.md").read_text("utf-8")


def fences(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", text, re.M | re.S)


def rows(text: str, heading: str) -> list[list[str]]:
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_codec_stands_in_the_table_with_the_way_it_comes(text: str) -> None:
    ways: dict[str, str] = {}
    for _, name, way, *_ in rows(text, "Who speaks what"):
        ways[name.strip("`")] = ways.get(name.strip("`"), "") + way
    assert set(ways) == set(CODECS)
    for name, codec in CODECS.items():
        assert ("TCP" in ways[name].split(";")[0]) == (codec.split is not None or name == "scaip")
        assert ("MQTT" in ways[name]) == bool(codec.topics or codec.express_topics)
        assert ("HTTP push" in ways[name]) == (name in ADAPTERS)


def test_every_model_that_is_named_is_there(text: str) -> None:
    named = {
        model
        for *_, models in rows(text, "Who speaks what")
        for model in re.findall(r"`([^`]+)`", models)
    }
    for model in named:
        stem = model.removesuffix("…")
        assert any(name.startswith(stem) for name in PROFILES), model


def test_the_table_of_ports_is_one_that_is_accepted(text: str) -> None:
    table = json.loads(re.findall(r"SILVERLINE_WATCH__PORTS='(.*)'", text)[0])
    made = ingest_settings(Settings.model_validate({"watch": {"ports": table}}))
    assert {name for name, _ in made.tcp_extra} | {"setracker"} == set(table)
    assert set(table) == {name for name, codec in CODECS.items() if codec.split is not None}


@pytest.mark.parametrize("codec", ["chirpstack", "tts", "silverline_v1", "gatt"])
def test_the_examples_of_pushes_are_understood(text: str, codec: str) -> None:
    [example] = fences(text, f"json {codec}")
    body = example.strip().encode()
    decoded = CODECS[codec].decode(ADAPTERS[codec](Push(body, QUERY, {})))
    assert decoded.messages
    assert not decoded.rejects
    assert not decoded.warnings
    assert any(message.readings or message.states for message in decoded.messages)


def test_the_example_of_scaip_is_understood(text: str) -> None:
    [request], [answer] = fences(text, "xml scaip"), fences(text, "xml")
    decoded = CODECS["scaip"].decode(Frame(request.strip().encode()))
    assert decoded.messages[0].alarms[0].kind == "sos"
    assert decoded.replies[0].decode() == answer.strip()
