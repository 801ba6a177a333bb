"""The embedded MQTT broker as a process of its own, so that ingest does not share its loop."""

import structlog

from app import authority, wiring
from app.embedded.broker import BrokerSettings, EmbeddedBroker
from app.embedded.tls import TlsListener
from app.processes import stop_on_signals
from app.settings import Settings, SettingsError
from devices.certificates.authority import CERTIFICATE_FILE

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
            _tls(settings),
        ),
        settings.database_url,
    )
    await broker.start()
    log.info("broker.listens", host=mqtt.bind, port=mqtt.port, tls_port=settings.mqtts.port)
    await stop.wait()
    await broker.stop()


def _tls(settings: Settings) -> TlsListener | None:
    """Return the listener over TLS, with the files of `silverline ca` where none are named.

    Raises SettingsError for a file that is missing.
    """
    wish, place = settings.mqtts, authority.folder(settings)
    if not wish.port:
        return None
    client_ca = None
    if wish.client_certificates != "off":
        client_ca = wish.client_ca_file or place / CERTIFICATE_FILE
    listener = TlsListener(
        host=settings.mqtt.bind,
        port=wish.port,
        certificate=wish.cert_file or place / authority.SERVER_FILE,
        key=wish.key_file or place / authority.SERVER_KEY,
        client_ca=client_ca,
        crl=wish.client_crl_file,
        required=wish.client_certificates == "required",
        adopt=wish.client_ca_file is not None,
    )
    wanted = (listener.certificate, listener.key, listener.client_ca, listener.crl)
    for path in wanted:
        if path is not None and not path.is_file():
            raise SettingsError(
                f"SILVERLINE_MQTTS__PORT is set, but there is no {path}."
                " Make it with `silverline ca init` and `silverline ca server NAME`."
            )
    return listener
