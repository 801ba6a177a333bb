import json
from pathlib import Path

import pytest

from devices.alarms import AlarmKind
from devices.codecs import CODECS
from devices.credentials.model import Grant
from devices.downlink import CommandName
from devices.messages import AlarmSignal, Frame, Message, Reading
from devices.profiles import (
    PROFILES,
    DeviceType,
    ProfileError,
    interpret,
    load_profiles,
    parse_profiles,
)

SIMULATED = ["watch", "pendant", "fall", "bed", "smoke", "gas", "leak", "door", "motion", "gateway"]


@pytest.mark.parametrize("name", SIMULATED)
def test_every_kind_of_simulated_device_has_a_profile(name: str) -> None:
    assert PROFILES[f"sl-{name}-1"].codec == "silverline_v1"


def test_every_profile_is_complete() -> None:
    for profile in PROFILES.values():
        assert profile.codec in CODECS
        assert profile.title("zh-CN") != profile.title("en")
        assert profile.heartbeat_seconds < profile.offline_after_seconds


def test_the_bridge_may_publish_below_its_base_topic() -> None:
    bridge = PROFILES["z2m-bridge"]
    assert bridge.type is DeviceType.GATEWAY
    assert bridge.base_topics == ("zigbee2mqtt",)
    assert bridge.bridge_topics("GW-1") == ("zigbee2mqtt",)


def test_a_bridge_may_publish_under_its_own_name_and_below_it_only() -> None:
    trees = PROFILES["gatt-gateway"].bridge_topics("GW-1")
    grant = Grant(1, "GW-1", trees)
    topics = ("gatt/GW-1", "gatt/GW-1/A4C138112233", "gatt/GW-10", "gatt", "gatt/GW-2/x")
    assert [grant.may_publish(topic) for topic in topics] == [True, True, False, False, False]


def test_a_base_topic_may_carry_the_bridges_own_id() -> None:
    (profile,) = parse_profiles(
        GOOD.replace('type = "button"', 'type = "gateway"').replace(
            "models", 'base_topics = ["zigbee2mqtt/{device_id}"]\nmodels'
        ),
        "x",
    )
    assert profile.bridge_topics("GW-1") == ("zigbee2mqtt/GW-1",)


def said(profile: str, payload: str) -> list[str]:
    """The alarms of a zigbee2mqtt report of this model, `+` on and `-` off."""
    decoded = CODECS["zigbee2mqtt"].decode(Frame(payload.encode(), "zigbee2mqtt/x"))
    message = interpret(decoded.messages[0], PROFILES[profile])
    return [f"{'+' if alarm.active else '-'}{alarm.kind}" for alarm in message.alarms]


@pytest.mark.parametrize(
    ("profile", "payload", "alarms"),
    [
        ("z2m-hs1eb", '{"action":"single"}', ["+sos"]),
        ("z2m-hs1eb", '{"action":"double"}', ["+sos"]),
        ("z2m-hs1eb", '{"action":"hold"}', ["+sos"]),
        ("z2m-hs1eb", '{"action":"off"}', []),
        ("z2m-hs1eb", '{"battery":80}', []),
        ("z2m-hm1rc", '{"action":"emergency"}', ["+sos"]),
        ("z2m-hm1rc", '{"action":"disarm"}', []),
        ("z2m-ts0215a-sos", '{"action":"emergency"}', ["+sos"]),
        ("z2m-seb01zb", '{"sos":true,"tamper":false}', ["+sos", "-tamper"]),
        ("z2m-seb01zb", '{"sos":false}', []),
        ("z2m-hs2fd", '{"fall_status":"fall_alarm"}', ["+fall"]),
        ("z2m-hs2fd", '{"fall_status":"fall_warning"}', []),
        ("z2m-hs2fd", '{"fall_status":"normal"}', ["-fall"]),
        ("z2m-fds315", '{"status":"falling","breathing_rate":16}', ["+fall"]),
        ("z2m-fds315", '{"status":"on_the_bed"}', ["-fall"]),
        ("z2m-fds315", '{"status":"low_posture"}', []),
        ("z2m-mir-he200-fall", '{"fall_down_status":"fall"}', ["+fall"]),
        ("z2m-mir-he200-fall", '{"fall_down_status":"maybe_fall"}', []),
        ("z2m-mir-he200-fall", '{"fall_down_status":"none"}', ["-fall"]),
        ("z2m-smoke", '{"smoke":true,"battery_low":true}', ["+smoke", "+low_battery"]),
        ("z2m-smoke", '{"smoke":false}', ["-smoke"]),
        ("z2m-gas", '{"gas":true}', ["+gas"]),
        ("z2m-co", '{"carbon_monoxide":true}', ["+gas"]),
        ("z2m-leak", '{"water_leak":true}', ["+water_leak"]),
        ("z2m-leak", '{"water_leak":false,"tamper":true}', ["-water_leak", "+tamper"]),
        ("z2m-door", '{"contact":false}', []),
        ("z2m-motion", '{"occupancy":true}', []),
        ("z2m-mfkzq01lm", '{"action":"fall"}', []),
        ("z2m-generic", '{"action":"single","gas":false,"carbon_monoxide":true}', ["+gas"]),
    ],
)
def test_what_a_state_means_is_the_models(profile: str, payload: str, alarms: list[str]) -> None:
    assert said(profile, payload) == alarms


def test_a_telephone_may_publish_below_its_own_id_only() -> None:
    assert PROFILES["owntracks-phone"].bridge_topics("T-1") == ("owntracks/T-1",)


@pytest.mark.parametrize(
    ("profile", "payload", "alarms"),
    [
        ("ls-vs373", "B7AEABAAACAAAA==", ["+fall"]),
        ("ls-vs373", "B7ACABAAACAAAA==", ["-fall"]),
        ("ls-vs373", "BvsBAAABAA==", ["+fall"]),
        ("ls-vs373", "BvsBAAACAA==", ["-fall"]),
        ("ls-vs373", "BvsBAAMBAA==", ["+bed_exit"]),
        ("ls-ws101", "/y4B", ["+sos"]),
        ("ls-ws101", "/y4D", ["+sos"]),
        ("ls-ws101", "AXVk", []),
    ],
)
def test_what_a_lorawan_payload_means(profile: str, payload: str, alarms: list[str]) -> None:
    event = {"data": payload, "deviceInfo": {"tags": {"decoder": "milesight"}}}
    frame = Frame(json.dumps(event).encode(), "application/1/device/24e124/event/up")
    decoded = CODECS["chirpstack"].decode(frame)
    found = interpret(decoded.messages[0], PROFILES[profile]).alarms
    assert [f"{'+' if each.active else '-'}{each.kind}" for each in found] == alarms


def test_every_zigbee_model_with_a_danger_says_so() -> None:
    for profile in PROFILES.values():
        if profile.codec == "zigbee2mqtt" and profile.type is not DeviceType.GATEWAY:
            kinds = {rule.kind for rule in profile.alarms}
            wanted = {"sos", "fall", "smoke", "gas", "water_leak"} & set(profile.capabilities)
            assert {AlarmKind(name) for name in wanted} <= kinds, profile.code


def test_a_press_rings_each_time_and_a_standing_state_only_when_it_changes() -> None:
    press = {rule.field: rule.level for rule in PROFILES["z2m-hs1eb"].alarms}
    smoke = {rule.field: rule.level for rule in PROFILES["z2m-smoke"].alarms}
    assert press["action"] is False
    assert smoke["smoke"] is True


def test_a_device_that_speaks_for_itself_is_not_repeated() -> None:
    own = Message("w", "alarm", alarms=(AlarmSignal(AlarmKind.TAMPER, detail="case"),))
    heard = interpret(own, PROFILES["z2m-door"])
    assert heard is own


def test_a_message_of_which_nothing_is_an_alarm_stays_as_it_is() -> None:
    message = Message("x", "vitals", readings=(Reading("battery", 80),))
    assert interpret(message, PROFILES["z2m-door"]) is message


def test_a_rule_may_read_a_metric() -> None:
    text = GOOD.replace('field = "action"', 'field = "smoke"').replace('"single"', "1")
    (profile,) = parse_profiles(text, "x")
    message = Message("x", "vitals", readings=(Reading("smoke", 1.0),))
    (alarm,) = interpret(message, profile).alarms
    assert alarm == AlarmSignal(AlarmKind.SOS, True, "smoke=1.0", level=True)


def test_a_count_of_one_is_not_a_yes() -> None:
    (profile,) = parse_profiles(GOOD.replace('"single"', "true"), "x")
    assert interpret(Message("x", "vitals", states={"action": 1}), profile).alarms == ()


GOOD = """
[some-button]
title = { zh = "按钮", en = "Button" }
codec = "zigbee2mqtt"
type = "button"
models = ["B1"]
capabilities = ["sos"]
metrics = { battery = "%" }
heartbeat_seconds = 60
offline_after_seconds = 120
low_battery_percent = 15
[[some-button.alarms]]
kind = "sos"
field = "action"
active = "single"
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[some-button]", "[some-button", "not TOML"),
        ("[some-button]", "[Some_Button]", "a code has small letters"),
        ("codec = ", "codecs = ", "unknown key codecs"),
        ('codec = "zigbee2mqtt"', 'codec = "morse"', "'morse' is none of silverline_v1"),
        ('type = "button"', 'type = "toaster"', "'toaster' is none of watch"),
        ('["sos"]', '["flight"]', "capabilities: 'flight' is none of"),
        ('["sos"]', '"sos"', "capabilities must be a list"),
        ("{ battery =", "{ mood =", "there is no metric mood"),
        ('battery = "%"', 'battery = "V"', "battery is in %, not in V"),
        ("heartbeat_seconds = 60", "heartbeat_seconds = 0", "heartbeat_seconds must be a whole"),
        ("heartbeat_seconds = 60", "heartbeat_seconds = 120", "more than heartbeat_seconds"),
        ("low_battery_percent = 15", "low_battery_percent = 150", "from 1 to 99"),
        ('zh = "按钮", ', "", "title must have exactly zh and en"),
        ('kind = "sos"', 'kind = "flood"', "alarms: kind: 'flood' is none of"),
        ('field = "action"', "", "alarms: field is missing"),
        ('active = "single"', "", "alarms: sos has no active value"),
        (
            'active = "single"',
            'active = "single"\nlevel = 1',
            "alarms: level must be true or false",
        ),
        ('active = "single"', 'active = "single"\nwhen = 1', "alarms: unknown key when"),
        (
            "models",
            'base_topics = ["zigbee2mqtt"]\nmodels',
            "only a gateway has base_topics without",
        ),
        ("models", 'base_topics = ["#"]\nmodels', "must be levels of letters and digits"),
        ("models", 'base_topics = ["silverline/v1"]\nmodels', "must be levels"),
    ],
)
def test_a_mistake_in_a_profile_is_named(old: str, new: str, says: str) -> None:
    text = GOOD
    if new.startswith("[Some_Button"):
        text = text.replace("some-button.alarms", "Some_Button.alarms")
    assert parse_profiles(GOOD, "good")
    with pytest.raises(ProfileError, match=says):
        parse_profiles(text.replace(old, new, 1), "bad.toml")


def test_a_code_stands_for_one_profile(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD, "utf-8")
    with pytest.raises(ProfileError, match=r"b\.toml: some-button: there is one already"):
        load_profiles(tmp_path.glob("*.toml"))


def test_defaults_are_added_to_a_models_own_rules() -> None:
    text = '[defaults]\nvendor = "V"\n[[defaults.alarms]]\nkind = "tamper"\nfield = "tamper"\n'
    (profile,) = parse_profiles(text + "active = true\n" + GOOD, "x")
    assert profile.vendor == "V"
    assert [rule.kind for rule in profile.alarms] == [AlarmKind.SOS, AlarmKind.TAMPER]


LOCATOR = """
[some-locator]
title = { zh = "定位器", en = "Locator" }
codec = "gt06"
type = "pendant"
capabilities = ["location", "commands"]
heartbeat_seconds = 60
offline_after_seconds = 120
commands = ["locate", "reboot"]
forms = { reboot = "RESTART#" }
"""


def test_a_model_says_which_commands_it_takes_and_in_which_words() -> None:
    (profile,) = parse_profiles(LOCATOR, "good")
    assert profile.commands == {CommandName.LOCATE, CommandName.REBOOT}
    assert profile.forms == {CommandName.REBOOT: "RESTART#"}
    assert PROFILES["gt06-locator"].commands is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"reboot"]', '"dance"]', "commands: 'dance' is none of"),
        ('"reboot"]', '"speak"]', "commands: gt06 has no form for speak"),
        ("{ reboot", "{ speak", "forms: gt06 has no form for speak"),
        ('"RESTART#"', "7", "forms must be a table of command and text"),
        (', "commands"]', "]", "commands without the capability commands"),
    ],
)
def test_a_mistake_in_the_commands_of_a_profile_is_named(old: str, new: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        parse_profiles(LOCATOR.replace(old, new, 1), "bad.toml")
