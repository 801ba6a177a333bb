"""Voice calls that devices announce with their alarm, and which of them a call is."""

from ingest.announced_calls.service import AlarmAnnouncements

__all__ = ["AlarmAnnouncements"]
