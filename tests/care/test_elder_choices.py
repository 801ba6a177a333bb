"""What an elder has agreed to, and limits and watches of their own, on a real database."""

import uuid
from datetime import datetime, timedelta

import pytest

from care.consents import service as consents
from care.consents import store as consent_store
from care.consents.model import ConsentPurpose
from care.elders import summary
from care.watching import service as watching
from care.watching import store as watching_store
from care.watching.model import Threshold, Watch
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.errors import Conflict, Invalid
from tests.care.clerk import actions, register


async def test_a_consent_is_given_once_and_withdrawn_once(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        given = await consents.give(
            tx, manager, elder_id, purpose=ConsentPurpose.LOCATION, text_version="2025-06",
            given_by="本人", now=now,
        )  # fmt: skip
        with pytest.raises(Invalid) as raised:
            await consents.give(
                tx, manager, elder_id, purpose=ConsentPurpose.LOCATION, text_version=" ",
                given_by="", now=now,
            )  # fmt: skip
        assert set(raised.value.fields) == {"purpose", "text_version", "given_by"}
        await consents.withdraw(tx, manager, elder_id, given, now + timedelta(days=1))
        with pytest.raises(Conflict):
            await consents.withdraw(tx, manager, elder_id, given, now)
        again = await consents.give(
            tx, manager, elder_id, purpose=ConsentPurpose.LOCATION, text_version="2026-01",
            given_by="女儿 李燕", now=now + timedelta(days=2),
        )  # fmt: skip
        found = await consent_store.consents_of(tx, elder_id)
    assert [one.id for one in found] == [again, given]
    assert found[1].withdrawn_at == now + timedelta(days=1)
    assert found[0].recorded_by == "孙丽"


async def test_own_limits_and_watch_settings_reach_the_detection(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    limits = [Threshold("heart_rate", 45, 55, 110, 130), Threshold("spo2")]
    fence = Watch(inactivity_day_min=240, fence_lat=40.8, fence_lon=111.7, fence_radius_m=500)
    async with db.transaction() as tx:
        await watching.set_thresholds(tx, manager, elder_id, version=1, thresholds=limits, now=now)
        await watching.set_watch(tx, manager, elder_id, version=2, watch=fence, now=now)
        with pytest.raises(Conflict):
            await watching.set_watch(tx, manager, elder_id, version=2, watch=fence, now=now)
        thresholds = await summary.thresholds_for(tx, [elder_id, uuid.uuid4()])
        watch = await watching_store.watch_of(tx, [elder_id])
    assert [(one.elder_id, one.metric, one.high_major) for one in thresholds] == [
        (elder_id, "heart_rate", 110)
    ]
    assert (watch[0].elder_id, watch[0].inactivity_day_min, watch[0].fence_radius_m) == (
        elder_id,
        240,
        500,
    )
    assert ("elder.thresholds_set", {"heart_rate": [45, 55, 110, 130]}) in await actions(
        db, elder_id
    )
