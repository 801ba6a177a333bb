"""Setracker ("3G") watches: text frames over TCP."""

from devices.codecs.setracker.codec import CODEC

__all__ = ["CODEC"]
