"""GT06 (Concox, Jimi and many others): locators that speak binary packets over TCP."""

from devices.codecs.gt06.codec import CODEC

__all__ = ["CODEC"]
