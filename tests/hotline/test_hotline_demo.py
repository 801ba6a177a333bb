"""The demonstration's data fits the real rules, and seeding twice adds nobody."""

from devices.alarms import Severity
from hotline.demo import DUTY_USERNAME, seed_responders
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.responders import service
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from tests.hotline.world import World


async def test_seeding_twice_adds_nobody_and_gives_every_severity_a_policy(
    world: World, cipher: FieldCipher
) -> None:
    supervisor = await world.user("李建国", Role.SUPERVISOR, username=DUTY_USERNAME)
    async with world.db.transaction() as tx:
        assert await seed_responders(tx, cipher, world.now, world.now) == 8
    async with world.db.transaction() as tx:
        assert await seed_responders(tx, cipher, world.now, world.now) == 0
    async with world.db.connection() as conn:
        for severity in Severity:
            found = await escalation.policy_json(conn, "150102003000", severity)
            assert found
            assert rules.parse_policy(found)
        (phone,) = await escalation.duty_phones(conn, "150102003000")
    assert phone.user_id == supervisor.user_id


async def test_somebody_is_suggested_in_each_district(
    world: World, operator: Actor, cipher: FieldCipher
) -> None:
    async with world.db.transaction() as tx:
        await seed_responders(tx, cipher, world.now, world.now)
    for division in ("150102000000", "150103000000", "150104000000", "150105000000"):
        elder = await world.elder(division=division)
        incident = await world.claimed(operator, elder, division=division)
        async with world.db.connection() as conn:
            found = await service.suggestions(conn, incident, world.now)
        assert len(found) >= 5
        assert found[0].matched
