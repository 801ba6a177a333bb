"""From the addresses in messages to devices, many at once."""

from datetime import UTC, datetime

from devices.registry.model import Address, DeviceState
from devices.registry.store import by_number, resolve
from kernel.db import Database
from kernel.ids import new_id

MADE = datetime(2026, 1, 1, tzinfo=UTC)


async def test_addresses_are_resolved_with_what_messages_need(db: Database) -> None:
    elder = new_id()
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO elder (id, name, sex, division_code, lat, lon, created_at, updated_at)"
            " VALUES (%s, '张秀兰', 'female', '150102003001', 40.84, 111.66, %s, %s)",
            (elder, MADE, MADE),
        )
        for device_id, profile, state, gateway in (
            ("G-1", "z2m-bridge", "stock", None),
            ("B-1", "z2m-hs1eb", "bound", "G-1"),
            ("W-1", "sl-watch-1", "stock", None),
            ("T-1", "setracker-4g", "stock", None),
        ):
            await tx.execute(
                "INSERT INTO device (id, profile, state, elder_id, gateway_no, division_code,"
                " room, created_at, updated_at) VALUES (%s, %s, %s, %s,"
                " (SELECT no FROM device WHERE id = %s), '150100000000', '卧室', %s, %s)",
                (
                    device_id,
                    profile,
                    state,
                    elder if state == "bound" else None,
                    gateway,
                    MADE,
                    MADE,
                ),
            )
        await tx.execute(
            "INSERT INTO device_alias SELECT 'zigbee2mqtt', '卧室/按钮', no FROM device"
            " WHERE id = 'B-1'"
        )
    button = Address("zigbee2mqtt", "卧室/按钮")
    own = Address("silverline_v1", "W-1")
    tcp = Address("setracker", "T-1")
    foreign = Address("setracker", "W-1")
    nobody = Address("silverline_v1", "nobody")
    async with db.connection() as conn:
        found = await resolve(conn, [button, own, tcp, foreign, nobody, own])
        assert await resolve(conn, []) == {}
        assert await by_number(conn, found[button].no) == found[button]
        assert await by_number(conn, 0) is None
    assert set(found) == {button, own, tcp}
    device = found[button]
    assert (device.id, device.state, device.room) == ("B-1", DeviceState.BOUND, "卧室")
    assert (device.gateway_id, device.gateway_profile) == ("G-1", "z2m-bridge")
    # The place is the elder's, where somebody has to go, not the store's.
    assert (device.elder_id, device.division_code) == (elder, "150102003001")
    assert (device.elder_lat, device.elder_lon) == (40.84, 111.66)
    assert found[own].division_code == "150100000000"
