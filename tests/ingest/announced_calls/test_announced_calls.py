"""The voice call that follows a social alarm finds its alarm, within 60 seconds."""

from datetime import datetime, timedelta

import pytest

from ingest.announced_calls import AlarmAnnouncements
from ingest.announced_calls.rules import call_back_of
from kernel.db import Database
from kernel.ports import AnnouncedCall, CallAnnouncements, IncomingCall
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness

SCAIP = "<mrq><ref>{ref}</ref><cid>{cid}</cid><mty>ME</mty><stc>0010</stc><crd>{crd}</crd></mrq>"


async def alarm(feed: Feed, now: datetime, cid: str, crd: str, ref: str = "1") -> None:
    frame = SCAIP.format(ref=ref, cid=cid, crd=crd).encode()
    await feed.give(feed.tcp(frame, now, "scaip"))


async def ring(db: Database, caller: str, at: datetime) -> AnnouncedCall | None:
    port: CallAnnouncements = AlarmAnnouncements(db)
    return await port.match(IncomingCall(caller, at))


@pytest.mark.parametrize(
    "caller", ["+8613900001111", "13900001111", "008613900001111", "sip:13900001111@carrier.cn"]
)
async def test_a_call_finds_the_alarm_that_announced_it(
    db: Database, feed: Feed, home: Home, witness: Witness, now: datetime, caller: str
) -> None:
    elder = await home.elder()
    no = await home.device("C-1", "scaip-controller", elder=elder, alias=("scaip", "10149471"))
    await alarm(feed, now, "10149471", "gsm:+8613900001111")
    found = await ring(db, caller, now + timedelta(seconds=59))
    assert found == AnnouncedCall(witness.raised[0].id, no, elder, certain=True)


async def test_after_sixty_seconds_it_is_a_call_like_any_other(
    db: Database, feed: Feed, home: Home, now: datetime
) -> None:
    await home.device("C-1", "scaip-controller", alias=("scaip", "10149471"))
    await alarm(feed, now, "10149471", "gsm:+8613900001111")
    assert await ring(db, "13900001111", now + timedelta(seconds=61)) is None


async def test_a_call_announced_without_a_number_is_taken_where_it_is_the_only_one(
    db: Database, feed: Feed, home: Home, now: datetime
) -> None:
    first = await home.device("C-1", "scaip-controller", alias=("scaip", "1"))
    await home.device("C-2", "scaip-controller", alias=("scaip", "2"))
    await alarm(feed, now, "1", "gsm:")
    found = await ring(db, "04711234567", now)
    assert found is not None
    assert (found.device_no, found.certain) == (first, False)
    await alarm(feed, now, "2", "gsm:")
    assert await ring(db, "04711234567", now) is None


async def test_a_stranger_finds_nothing(
    db: Database, feed: Feed, home: Home, now: datetime
) -> None:
    await home.device("C-1", "scaip-controller", alias=("scaip", "1"))
    await alarm(feed, now, "1", "gsm:+8613900001111")
    assert await ring(db, "13900002222", now) is None
    assert await ring(db, "", now) is None


@pytest.mark.parametrize(
    ("detail", "address"),
    [
        ("dty=3 stc=10 crd=gsm:+3197025136418", "+3197025136418"),
        ("stc=10 crd=sip:10@example.org", "10@example.org"),
        ("crd=gsm:", ""), ("crd=04711234567", "04711234567"), ("dty=3 stc=10", None), ("", None),
    ],
)  # fmt: skip
def test_where_the_call_comes_from_is_read_of_the_detail(detail: str, address: str | None) -> None:
    assert call_back_of(detail) == address
