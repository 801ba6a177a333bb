"""The embedded MQTT broker as a process of its own, so that ingest does not share its loop."""

import structlog

from app import wiring
from app.embedded.broker import BrokerSettings, EmbeddedBroker
from app.processes import stop_on_signals
from app.settings import Settings

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Listen until a signal. Raises OSError when the port is taken."""
    stop = stop_on_signals()
    mqtt = settings.mqtt
    broker = EmbeddedBroker(
        BrokerSettings(
            mqtt.bind,
            mqtt.port,
            mqtt.username,
            mqtt.password.get_secret_value(),
            wiring.ingest_subscriptions(settings),
        ),
        settings.database_url,
    )
    await broker.start()
    log.info("broker.listens", host=mqtt.bind, port=mqtt.port)
    await stop.wait()
    await broker.stop()
