"""Repetitions that a sender marks itself: by a reference, a key, or the same content."""

from datetime import datetime
from hashlib import blake2b

from ingest.identity import Arrival


def arrival_of(now: datetime, reference: bytes) -> Arrival:
    """How a frame came in that may be a repetition of one with the same reference.

    It stands in for MQTT's packet identifier: a message without number and time that comes again
    with the same content and reference within a minute is the same one (identity.py, third kind).
    """
    packet_id = int.from_bytes(blake2b(reference, digest_size=2).digest(), "big") or 1
    return Arrival(now, packet_id, redelivered=True)
