"""From an announcement to what a state of the entity says, and templates from the wire."""

import json
from typing import Any

import pytest

from devices.codecs.homeassistant.codec import Adopted, AdoptedEntities, address, decode_with
from devices.codecs.homeassistant.config import entity_of
from devices.codecs.homeassistant.value_template import MISSING, parse_template
from devices.messages import CodecError, Decoded, Flag, Frame

GATEWAY = "HA-0001"
ROOT = f"ha/{GATEWAY}/"


def announce(topic: str, config: dict[str, Any]) -> Decoded:
    frame = Frame(json.dumps(config).encode(), f"{ROOT}homeassistant/{topic}/config")
    return decode_with(AdoptedEntities(), frame)


def say(announced: Decoded, topic: str, payload: object, *, retained: bool = False) -> Decoded:
    """What a state comes to when everything that was announced is adopted."""
    adopted = AdoptedEntities(
        tuple(
            Adopted(each.gateway, each.device, entity_of(each.entity))
            for each in announced.proposals
            if each.entity is not None
        )
    )
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return decode_with(adopted, Frame(text.encode(), ROOT + topic, retained))


def readings(decoded: Decoded) -> dict[str, float]:
    return {r.metric: r.value for m in decoded.messages for r in m.readings}


def states(decoded: Decoded) -> dict[str, object]:
    return {name: value for m in decoded.messages for name, value in m.states.items()}


@pytest.mark.parametrize(
    ("device_class", "on", "metric"),
    [
        ("smoke", "smoke", "smoke"), ("gas", "gas", "gas"), ("carbon_monoxide", "gas", "gas"),
        ("moisture", "water_leak", "water_leak"), ("door", "open", "door_open"),
        ("window", "open", "door_open"), ("motion", "motion", "motion"),
        ("occupancy", "occupancy", "motion"), ("presence", "presence", "motion"),
        ("safety", "safety", None), ("tamper", "tamper", None), ("battery", "battery_low", None),
        ("vibration", "vibration", None), ("", "x", None),
    ],
)  # fmt: skip
def test_a_binary_sensor_says_what_its_class_means(
    device_class: str, on: str, metric: str | None
) -> None:
    announced = announce(
        "binary_sensor/x", {"device_class": device_class, "state_topic": "a/x", "unique_id": "u"}
    )
    decoded = say(announced, "a/x", "ON")
    assert states(decoded) == {on: True}
    assert readings(decoded) == ({metric: 1.0} if metric else {})
    assert states(say(announced, "a/x", "OFF")) == {on: False}
    assert say(announced, "a/x", "unavailable").messages == ()


@pytest.mark.parametrize(
    ("device_class", "unit", "name", "value", "metric", "read"),
    [
        ("temperature", "°C", "Hall", "21.5", "ambient_temperature", 21.5),
        ("temperature", "°F", "Hall", "71.6", "ambient_temperature", 22.0),
        ("temperature", "°C", "Body temperature", "36.6", "body_temperature", 36.6),
        ("humidity", "%", "", "44", "humidity", 44.0),
        ("battery", "%", "", "87", "battery", 87.0),
        ("illuminance", "lx", "", "120", "illuminance", 120.0),
        ("signal_strength", "dBm", "", "-61", "signal", -61.0),
        ("weight", "lb", "", "160", "weight", 72.575),
        ("blood_glucose_concentration", "mg/dL", "", "99", "glucose", 5.495),
        ("", "bpm", "Heart rate", "72", "heart_rate", 72.0),
        ("", "%", "SpO2", "97", "spo2", 97.0),
        ("", "kPa", "Systolic", "16", "bp_systolic", 120.01),
        ("", "steps", "Steps", "1034", "steps", 1034.0),
    ],
)
def test_a_sensor_is_read_by_class_unit_and_name(
    device_class: str, unit: str, name: str, value: str, metric: str, read: float
) -> None:
    config = {"device_class": device_class, "unit_of_measurement": unit, "name": name}
    announced = announce("sensor/x", {**config, "state_topic": "a/x", "unique_id": "u"})
    assert readings(say(announced, "a/x", value)) == {metric: read}


def test_a_quantity_that_we_do_not_know_is_a_state() -> None:
    announced = announce(
        "sensor/x", {"name": "Power", "device_class": "power", "state_topic": "a/x"}
    )
    assert states(say(announced, "a/x", "12.5")) == {"power": "12.5"}


def test_one_payload_with_several_entities_is_one_message() -> None:
    announced = announce(
        "device/d",
        {
            "device": {"identifiers": ["d"]},
            "state_topic": "z/d",
            "components": {
                "s": {"platform": "binary_sensor", "device_class": "smoke", "payload_on": True,
                      "payload_off": False, "value_template": "{{ value_json.smoke }}"},
                "b": {"platform": "sensor", "device_class": "battery", "unit_of_measurement": "%",
                      "value_template": "{{ value_json.battery }}"},
                "t": {"platform": "sensor", "device_class": "temperature",
                      "unit_of_measurement": "°C", "value_template": "{{ value_json.t / 10 }}"},
            },
        },
    )  # fmt: skip
    decoded = say(announced, "z/d", {"smoke": True, "battery": 60, "t": 215})
    assert len(decoded.messages) == 1
    assert decoded.messages[0].device == address(GATEWAY, "d")
    assert readings(decoded) == {"smoke": 1.0, "battery": 60.0, "ambient_temperature": 21.5}
    assert readings(say(announced, "z/d", {"battery": 59})) == {"battery": 59.0}


def test_a_press_is_an_action_and_a_kept_one_is_not_of_now() -> None:
    announced = announce("event/sos", {"state_topic": "e/sos", "event_types": ["press"]})
    assert states(say(announced, "e/sos", {"event_type": "press"})) == {"action": "press"}
    kept = say(announced, "e/sos", {"event_type": "press"}, retained=True)
    assert states(kept) == {}
    assert Flag.REPLAYED in kept.messages[0].flags


def test_a_trigger_fires_for_its_own_payload_only() -> None:
    announced = announce(
        "device_automation/b",
        {"automation_type": "trigger", "topic": "b", "payload": "single", "type": "action",
         "subtype": "single", "device": {"identifiers": "b"}},
    )  # fmt: skip
    assert states(say(announced, "b", "single")) == {"action": "action", "button": "single"}
    assert say(announced, "b", "double").messages == ()


def test_the_last_availability_topic_is_the_devices_own() -> None:
    announced = announce(
        "binary_sensor/x",
        {"state_topic": "a", "availability": [
            {"topic": "bridge/state"},
            {"topic": "x/availability", "value_template": "{{ value_json.state }}"}]},
    )  # fmt: skip
    decoded = say(announced, "x/availability", {"state": "offline"})
    assert [m.status.online for m in decoded.messages if m.status] == [False]
    assert say(announced, "bridge/state", "offline").messages == ()


def test_a_template_that_is_not_understood_is_said_and_stores_nothing() -> None:
    announced = announce(
        "sensor/x", {"state_topic": "a/x", "value_template": "{{ states('sensor.y') }}"}
    )
    assert "bad_template" in announced.warnings[0]
    decoded = say(announced, "a/x", "12")
    assert decoded.messages == ()
    assert "bad_template" in decoded.warnings[0]


DOCUMENT = {"t": 215, "on": False, "a": {"b": [1, "x"]}, "text": " Ab ", "n": None, "two words": 1}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ value }}", "21"), ("{{ value | int + 1 }}", 22.0), ("{{ value_json.t }}", 215),
        ("{{ value_json['two words'] }}", 1), ("{{ value_json.a.b[1] }}", "x"),
        ("{{ value_json.t | float / 10 }}", 21.5), ("{{ (value_json.t - 15) * 2 }}", 400.0),
        ("{{ value_json.t | float(0) | round(1) }}", 215.0), ("{{ -3 | abs }}", 3.0),
        ("{{ 'ON' if value_json.on == false else 'OFF' }}", "ON"),
        ("{{ 'hot' if value_json.t > 200 and not value_json.on else 'cold' }}", "hot"),
        ("{{ value_json.gone | default('none') }}", "none"),
        ("{{ value_json.gone is defined }}", False), ("{{ value_json.t is not defined }}", False),
        ("{{ value_json.text | trim | lower }}", "ab"), ("{{- value_json.t -}}", 215),
    ],
)  # fmt: skip
def test_a_template_of_the_known_forms_is_evaluated(template: str, value: object) -> None:
    assert parse_template(template).render("21", DOCUMENT) == value


@pytest.mark.parametrize(
    "template",
    [
        "{{ value_json.gone }}", "{{ value_json.t / 0 }}", "{{ value_json.text * 9 }}",
        "{{ value_json.n > 1 }}", "{{ value.__class__ }}", "{{ value_json.a.b[7] }}",
        "{{ value_json.text | float }}",
    ],
)  # fmt: skip
def test_a_template_that_leads_nowhere_has_no_value(template: str) -> None:
    assert parse_template(template).render("21", DOCUMENT) is MISSING


@pytest.mark.parametrize(
    "template",
    [
        "", "value", "{{ }}", "{{ value", "{% set x = 1 %}{{ x }}", "{{ value }} {{ value }}",
        "{{ states('a') }}", "{{ ''.__class__ }}", "{{ value | regex_replace('a', 'b') }}",
        "{{ range(9) }}", "{{ value.lower() }}", "{{ [1] }}", "{{ value ~ 'x' }}", "{{ 1 if 2 }}",
        "{{ " + "(" * 40 + "1" + ")" * 40 + " }}", "{{ value_json." + "a" * 600 + " }}",
        "{{ lipsum.__globals__ }}", "{{ config }}", "{{ value_json.x | attr('y') }}",
    ],
)  # fmt: skip
def test_any_other_template_is_refused(template: str) -> None:
    with pytest.raises(CodecError) as caught:
        parse_template(template)
    assert caught.value.reason == "bad_template"
