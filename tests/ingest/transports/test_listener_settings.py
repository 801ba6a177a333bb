"""Which ports are listened on: the table of codecs, and the older name of Setracker's port."""

import pytest

from app.settings import Settings, SettingsError, load_settings
from app.wiring import ingest_settings


def listeners(**environment: str) -> dict[str, int]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(f"SILVERLINE_WATCH__{name}", value)
        made = ingest_settings(load_settings())
    found = dict((("setracker", made.tcp_port), *made.tcp_extra))
    return {name: port for name, port in found.items() if port >= 0}


def test_by_default_only_setracker_has_a_port() -> None:
    assert listeners() == {"setracker": 5093}


def test_a_table_names_a_port_for_each_codec() -> None:
    table = '{"setracker": 5093, "iw_trv": 5094, "jt808": 5095, "gt06": 5096, "minifinder": 5097}'
    assert listeners(PORTS=table) == {
        "setracker": 5093, "iw_trv": 5094, "jt808": 5095, "gt06": 5096, "minifinder": 5097
    }  # fmt: skip


def test_what_is_not_in_the_table_is_not_listened_on() -> None:
    assert listeners(PORTS='{"gt06": 5023}') == {"gt06": 5023}
    assert listeners(PORTS="{}") == {}


def test_the_older_setting_is_setrackers_port() -> None:
    assert listeners(PORT="6000") == {"setracker": 6000}
    assert listeners(PORT="6000", PORTS='{"gt06": 5023}') == {"setracker": 6000, "gt06": 5023}


def test_the_table_may_stand_in_the_file() -> None:
    settings = Settings.model_validate({"watch": {"ports": {"jt808": 0}}})
    assert ingest_settings(settings).tcp_extra == (("jt808", 0),)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('{"chirpstack": 5094}', "chirpstack is no codec of a TCP stream"),
        ('{"gt07": 5094}', "there are gt06, iw_trv"),
        ('{"gt06": 5094, "jt808": 5094}', "cannot share a port"),
        ('{"gt06": 99999}', "SILVERLINE_WATCH__PORTS__GT06"),
    ],
)
def test_a_wrong_table_is_refused_with_a_sentence(table: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        listeners(PORTS=table)


def test_social_alarm_controllers_are_off_until_they_have_a_port() -> None:
    assert ingest_settings(Settings()).scaip_port == -1
    made = ingest_settings(Settings.model_validate({"scaip": {"host": "0.0.0.0", "port": 5060}}))  # noqa: S104
    assert (made.scaip_host, made.scaip_port) == ("0.0.0.0", 5060)  # noqa: S104


def test_how_many_connections_may_come_from_one_address_is_a_setting() -> None:
    assert ingest_settings(Settings()).tcp_connections_per_address == 2_000
    raised = Settings.model_validate({"watch": {"connections_per_address": 50_000}})
    assert ingest_settings(raised).tcp_connections_per_address == 50_000
