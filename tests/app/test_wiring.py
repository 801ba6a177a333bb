"""What the composition root refuses before anything starts."""

import pytest
from pydantic import SecretStr

from app import wiring
from app.settings import MqttSection, Settings, SettingsError


def settings(**mqtt: str) -> Settings:
    section = MqttSection(password=SecretStr("of this test"), **mqtt)  # type: ignore[arg-type]
    return Settings(mqtt=section)


def test_a_share_needs_a_name_that_stays_the_same() -> None:
    # The broker deals its share of the alarms to a name, whether somebody listens under it or not.
    with pytest.raises(SettingsError, match="CLIENT_ID"):
        wiring.ingest_settings(settings(share_group="ingest"))
    shared = wiring.ingest_settings(settings(share_group="ingest", client_id="ingest-1"))
    assert shared.client_id == "ingest-1"


def test_the_broker_is_told_the_sessions_that_ingest_opens() -> None:
    expected = wiring.ingest_subscriptions(settings())
    assert set(expected) == {"silverline-ingest-bulk", "silverline-ingest-express"}
    assert "silverline/v1/+/alarm" in expected["silverline-ingest-express"]
