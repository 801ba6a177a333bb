"""IW and TRV watches: text frames over TCP."""

from devices.codecs.iw_trv.codec import CODEC

__all__ = ["CODEC"]
