"""Home Assistant: entities of an existing installation, adopted as devices, over MQTT."""

from devices.codecs.homeassistant.codec import CODEC

__all__ = ["CODEC"]
