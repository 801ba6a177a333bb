"""The list of who may do what on the broker, when the broker keeps one itself."""

from app.settings import Settings
from devices.credentials.dynsec import DynamicSecurity, DynsecSettings


def dynamic_security(settings: Settings) -> DynamicSecurity | None:
    """Return the way to a broker with a list of its own, None for the embedded one."""
    mqtt = settings.mqtt
    password = mqtt.dynsec_password.get_secret_value()
    if not password:
        return None
    return DynamicSecurity(
        DynsecSettings(mqtt.host, mqtt.port, mqtt.dynsec_username, password, mqtt.tls, mqtt.ca_file)
    )
