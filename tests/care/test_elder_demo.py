"""The demonstration's elders: the same for the same seed, plausible, and quickly made."""

import time
from datetime import datetime

from care.elders import rules, summary
from care.elders.demo import seed_elders
from care.elders.model import Draft
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_value


async def test_the_demonstration_is_the_same_for_the_same_seed(
    db: Database, cipher: FieldCipher, now: datetime
) -> None:
    async with db.transaction() as tx, tx.transaction(force_rollback=True):
        rolled_back = await seed_elders(tx, cipher, 60, now, 42)
    async with db.transaction() as tx:
        first = await seed_elders(tx, cipher, 60, now, 42)
    assert first == rolled_back
    async with db.transaction() as tx:
        second = await seed_elders(tx, cipher, 60, now, 43)
        cards = [await summary.elder_card(tx, cipher, one.id) for one in first]
        unknown = await fetch_value(
            tx,
            "SELECT count(*) FROM elder e LEFT JOIN division d ON d.code = e.division_code"
            " WHERE d.code IS NULL",
        )
    assert [one.id for one in first] != [one.id for one in second]
    assert unknown == 0
    assert {one.division_code[:6] for one in first} == {"150102", "150103", "150104", "150105"}
    for card in cards:
        examined = store_rules(card, now)
        assert examined == ()
        names = [card.name, *(one.name for one in card.contacts)]
        assert len(names) > 1
        assert len(set(names)) == len(names), names
        assert 60 <= (card.age(now) or 0) <= 104
        assert 40.7 < (card.lat or 0) < 40.95
        assert 111.5 < (card.lon or 0) < 111.95


def store_rules(card: object, now: datetime) -> tuple:
    values = {name: getattr(card, name) for name in Draft.__slots__ if hasattr(card, name)}
    return rules.examine(Draft(**values), now).problems


async def test_two_hundred_elders_are_seeded_in_two_seconds(
    db: Database, cipher: FieldCipher, now: datetime
) -> None:
    # The loop's own processor time: a busy machine does not count.
    begun = time.thread_time()
    async with db.transaction() as tx:
        seeded = await seed_elders(tx, cipher, 200, now, 1)
    assert time.thread_time() - begun < 2
    assert len({one.id for one in seeded}) == 200
