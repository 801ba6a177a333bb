"""JT/T 808 terminals: binary messages over TCP, from the Chinese vehicle standard."""

from devices.codecs.jt808.codec import CODEC

__all__ = ["CODEC"]
