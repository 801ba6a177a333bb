"""Codecs: pure functions from the bytes of a device's protocol to `devices.messages`."""

from devices.codecs.catalogue import CODECS, codec_for_topic

__all__ = ["CODECS", "codec_for_topic"]
