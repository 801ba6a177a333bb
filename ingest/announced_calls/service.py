"""The port `kernel.ports.CallAnnouncements` over the alarms that were stored."""

from devices.profiles import PROFILES
from ingest.announced_calls import rules, store
from ingest.announced_calls.model import Announcement
from kernel.db import Database
from kernel.ports import AnnouncedCall, IncomingCall

CODEC = "scaip"


class AlarmAnnouncements:
    """Finds the alarm that announced a call. For whoever takes calls; bound in `app/wiring`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def match(self, call: IncomingCall) -> AnnouncedCall | None:
        """Return the alarm that this call belongs to, None where no device has announced it."""
        profiles = [code for code, each in PROFILES.items() if each.codec == CODEC]
        async with self._db.connection() as conn:
            rows = await store.alarms_since(conn, profiles, call.at - rules.WITHIN)
        announced = [
            Announcement(row.id, row.device_no, row.elder_id, address)
            for row in rows
            if (address := rules.call_back_of(row.detail)) is not None
        ]
        found = rules.chosen(announced, call.caller)
        if found is None:
            return None
        announcement, certain = found
        return AnnouncedCall(
            announcement.alarm_id, announcement.device_no, announcement.elder_id, certain
        )
