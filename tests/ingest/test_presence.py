"""What messages tell of the devices themselves: battery, firmware, and of which moment."""

from datetime import datetime, timedelta

from tests.ingest.feed import Feed
from tests.ingest.home import Home


async def test_a_status_from_the_buffer_says_nothing_of_battery_and_firmware_now(
    home: Home, feed: Feed, now: datetime
) -> None:
    await home.device("P-0001")
    yesterday = now - timedelta(days=1)
    old = {"replayed": True, "battery": 15, "firmware": "1.4.2"}
    await feed.v1("P-0001", "status", now, seq=2, battery=87, firmware="1.5.0")
    await feed.v1("P-0001", "status", now, seq=1, t=yesterday, **old)
    row = await home.value("SELECT firmware || battery_percent::text FROM device")
    assert row == "1.5.087"
    # In the chart it stands where it belongs.
    assert await home.value("SELECT count(*) FROM reading WHERE time = %s", yesterday) == 1
