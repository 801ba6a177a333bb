"""Bluetooth health devices behind a gateway: their characteristics, over MQTT."""

from devices.codecs.gatt.codec import CODEC

__all__ = ["CODEC"]
