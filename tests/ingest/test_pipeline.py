"""Frames through the pipeline on a real database: what is stored, once, and what is kept aside."""

from datetime import datetime, timedelta

import pytest

from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness, body


async def test_a_reading_is_stored_with_its_device_time(
    home: Home, feed: Feed, now: datetime
) -> None:
    elder = await home.elder()
    no = await home.device("W-0001", elder=elder)
    sent = now - timedelta(seconds=7)
    await feed.v1("W-0001", "vitals", now, seq=1, t=sent, vitals={"heart_rate": 72, "spo2": 97})
    rows = await home.rows("SELECT time, device_no, metric, value, quality FROM reading ORDER BY 3")
    assert rows == [(sent, no, 1, 72.0, 0), (sent, no, 2, 97.0, 0)]
    assert await home.value("SELECT last_seen_at FROM device WHERE no = %s", no) == now
    assert await home.value("SELECT online FROM device WHERE no = %s", no) is True


async def test_a_redelivered_message_stores_nothing_twice(
    home: Home, feed: Feed, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    payload = body(seq=5, t=now, vitals={"heart_rate": 72})
    topic = "silverline/v1/W-0001/vitals"
    assert await feed.give(feed.mqtt(topic, payload, now)) == 1
    again = now + timedelta(minutes=3)
    assert await feed.give(feed.mqtt(topic, payload, again, dup=True)) == 0
    assert await feed.give(feed.mqtt(topic, payload, again)) == 0
    assert await home.count("reading") == 1
    assert await home.count("ingest_message") == 1


async def test_copies_within_one_batch_are_stored_once(
    home: Home, feed: Feed, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    payload = body(seq=5, t=now, vitals={"heart_rate": 72})
    topic = "silverline/v1/W-0001/vitals"
    assert await feed.give(*(feed.mqtt(topic, payload, now) for _ in range(3))) == 1
    assert await home.count("reading") == 1


async def test_an_alarm_is_raised_once_however_often_it_is_delivered(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    elder = await home.elder()
    no = await home.device("P-0001", "sl-pendant-1", elder=elder)
    payload = body(
        seq=9, t=now, alarm="sos", detail="button", position={"lat": 40.84, "lon": 111.75}
    )
    for _ in range(3):
        await feed.give(feed.mqtt("silverline/v1/P-0001/alarm", payload, now, dup=True))
    assert await home.alarms() == [("sos", "critical", "device")]
    [alarm] = witness.raised
    assert (alarm.device_no, alarm.elder_id, alarm.device_id) == (no, elder, "P-0001")
    assert (alarm.lat, alarm.lon, alarm.device_time) == (40.84, 111.75, now)
    assert alarm.detail["detail"] == "button"
    assert alarm.division_code == "150105002003"
    assert not alarm.test


async def test_an_alarm_without_a_fix_brings_the_devices_last_one(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    await feed.v1("W-0001", "location", now, seq=1, lat=40.81, lon=111.66, accuracy=15)
    await feed.v1("W-0001", "alarm", now + timedelta(seconds=30), seq=2, alarm="sos")
    [alarm] = witness.raised
    assert (alarm.lat, alarm.lon, alarm.position_accuracy_m) == (40.81, 111.66, 15)
    assert alarm.position_at == now


async def test_a_second_press_with_the_same_bytes_rings_again(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device(
        "B-0001", "z2m-hs1eb", elder=await home.elder(), alias=("zigbee2mqtt", "卧室按钮")
    )
    payload = b'{"action":"single","linkquality":120}'
    topic = "zigbee2mqtt/卧室按钮"
    await feed.give(feed.mqtt(topic, payload, now, packet_id=7))
    await feed.give(feed.mqtt(topic, payload, now + timedelta(milliseconds=1), packet_id=8))
    assert witness.kinds == ["sos", "sos"]
    # The broker sends the second press again: the same packet identifier, marked as a copy.
    await feed.give(feed.mqtt(topic, payload, now + timedelta(seconds=9), packet_id=8, dup=True))
    assert witness.kinds == ["sos", "sos"]
    # A press that was in flight when the connection broke and never stored: it rings.
    await feed.give(feed.mqtt(topic, payload, now + timedelta(seconds=9), packet_id=9, dup=True))
    assert witness.kinds == ["sos", "sos", "sos"]
    assert await home.count("ingest_message") == 3


async def test_a_redelivery_after_the_window_rings_again(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device(
        "B-0001", "z2m-hs1eb", elder=await home.elder(), alias=("zigbee2mqtt", "button")
    )
    topic, payload = "zigbee2mqtt/button", b'{"action":"single"}'
    await feed.give(feed.mqtt(topic, payload, now, packet_id=7))
    late = now + timedelta(seconds=61)
    await feed.give(feed.mqtt(topic, payload, late, packet_id=7, dup=True))
    assert witness.kinds == ["sos", "sos"]


async def test_a_retained_press_of_long_ago_does_not_ring(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    no = await home.device(
        "B-0001", "z2m-hs1eb", elder=await home.elder(), alias=("zigbee2mqtt", "button")
    )
    frame = feed.mqtt("zigbee2mqtt/button", b'{"action":"single","battery":80}', now, retained=True)
    await feed.give(frame)
    assert witness.raised == []
    assert await home.value("SELECT last_seen_at FROM device WHERE no = %s", no) is None


async def test_a_gateway_batch_is_taken_apart(home: Home, feed: Feed, now: datetime) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0001", "sl-gateway-1", elder=elder)
    door = await home.device("D-0001", "sl-door-1", elder=elder, gateway=gateway)
    motion = await home.device("M-0001", "sl-motion-1", elder=elder, gateway=gateway)
    batch = [
        {
            "device": "D-0001",
            "seq": 1,
            "t": int(now.timestamp() * 1000),
            "vitals": {"door_open": 1},
        },
        {"device": "M-0001", "seq": 1, "t": int(now.timestamp() * 1000), "vitals": {"motion": 1}},
    ]
    await feed.give(feed.mqtt("silverline/v1/G-0001/vitals", body(batch=batch), now))
    assert await home.rows("SELECT device_no FROM reading ORDER BY 1") == [(door,), (motion,)]
    seen = await home.rows("SELECT no FROM device WHERE last_seen_at = %s ORDER BY 1", now)
    assert seen == [(gateway,), (door,), (motion,)]


async def test_a_gateway_may_not_speak_for_a_device_of_another(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    elder = await home.elder()
    await home.device("G-0001", "sl-gateway-1", elder=elder)
    other = await home.device("G-0002", "sl-gateway-1", elder=elder)
    await home.device("P-0002", "sl-pendant-1", elder=elder, gateway=other)
    batch = [{"device": "P-0002", "seq": 1, "t": int(now.timestamp() * 1000), "alarm": "sos"}]
    await feed.give(feed.mqtt("silverline/v1/G-0001/alarm", body(batch=batch), now))
    assert await home.letters() == [("foreign_device", "P-0002", 1)]
    assert witness.raised == []
    assert await home.count("alarm") == 0


async def test_a_bridge_speaks_in_its_own_tree_of_topics_only(
    home: Home, feed: Feed, now: datetime
) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0003", "sl-gateway-1", elder=elder)
    await home.device(
        "B-0009", "z2m-hs1eb", elder=elder, gateway=gateway, alias=("zigbee2mqtt", "btn")
    )
    await feed.give(feed.mqtt("zigbee2mqtt/btn", b'{"action":"single"}', now))
    assert [letter[0] for letter in await home.letters()] == ["foreign_topic"]


VALUE = b"\x1e\x78\x00\x50\x00\x5d\x00\xea\x07\x0b\x16\x13\x1e\x00\x48\x00\x01\x04\x00"


@pytest.mark.parametrize(("below", "payload"), [
    ("", b'{"mac":"A4C138112233","characteristic":"2A35","value":"%s"}' % VALUE.hex().encode()),
    ("/A4C138112233/2A35", VALUE),
])  # fmt: skip
async def test_a_bluetooth_gateway_speaks_under_its_own_name_or_below_it(
    below: str, payload: bytes, home: Home, feed: Feed, now: datetime
) -> None:
    gateway = await home.device("GW-0001", "gatt-gateway", alias=("gatt", "GW-0001"))
    await home.device("GW-00010", "gatt-gateway", alias=("gatt", "GW-00010"))
    alias = ("gatt", "A4C138112233")
    await home.device("B-0001", "gatt-blood-pressure", gateway=gateway, alias=alias)
    await feed.give(feed.mqtt(f"gatt/GW-0001{below}", payload, now))
    assert await home.letters() == []
    assert await home.count("reading") == 3
    await feed.give(feed.mqtt(f"gatt/GW-00010{below}", payload, now))
    assert [letter[0] for letter in await home.letters()] == ["foreign_topic"]


async def test_what_cannot_be_used_is_kept_with_its_reason_and_harms_nothing(
    home: Home, feed: Feed, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    await home.device("W-0002", state="retired")
    good = body(seq=1, t=now, vitals={"heart_rate": 70})
    await feed.give(
        feed.mqtt("silverline/v1/W-0001/vitals", b'{"seq":1,', now),
        feed.mqtt("silverline/v1/W-0001/vitals", b"x" * 70_000, now),
        feed.mqtt("silverline/v1/W-0001/shoesize", b"{}", now),
        feed.mqtt("elsewhere/entirely", b"\x00\xff", now),
        feed.mqtt("silverline/v1/W-9999/vitals", good, now),
        feed.mqtt("silverline/v1/W-0002/vitals", good, now),
        feed.mqtt("silverline/v1/W-0001/vitals", good, now),
    )
    reasons = sorted(letter[0] for letter in await home.letters())
    assert reasons == [
        "device_retired", "malformed_json", "oversized", "unknown_device", "unknown_topic",
        "unknown_topic",
    ]  # fmt: skip
    assert await home.count("reading") == 1
    assert len(feed.settled) == 7
    size, kept = (
        await home.rows(
            "SELECT payload_size, length(payload) FROM dead_letter WHERE reason = 'oversized'"
        )
    )[0]
    assert (size, kept) == (70_000, 65_536)
    address = await home.value("SELECT address FROM dead_letter WHERE reason = 'unknown_device'")
    assert address == "W-9999"


async def test_one_bad_element_does_not_spoil_a_gateways_batch(
    home: Home, feed: Feed, now: datetime
) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0001", "sl-gateway-1", elder=elder)
    await home.device("M-0001", "sl-motion-1", elder=elder, gateway=gateway)
    t = int(now.timestamp() * 1000)
    batch = [
        {"device": "M-0001", "seq": 1, "t": t, "vitals": {"motion": 1}},
        {"device": "M-0001", "seq": 2, "t": t, "vitals": {"motion": "yes"}},
        {"device": "M-0404", "seq": 1, "t": t, "vitals": {"motion": 1}},
    ]
    await feed.give(feed.mqtt("silverline/v1/G-0001/vitals", body(batch=batch), now))
    assert await home.count("reading") == 1
    assert sorted(letter[0] for letter in await home.letters()) == ["bad_type", "unknown_device"]


@pytest.mark.parametrize("wrong", [timedelta(minutes=6), timedelta(days=-401)])
async def test_a_time_that_cannot_be_is_replaced_by_that_of_arrival(
    home: Home, feed: Feed, now: datetime, wrong: timedelta
) -> None:
    await home.device("W-0001", elder=await home.elder())
    await feed.v1("W-0001", "vitals", now, seq=1, t=now + wrong, vitals={"heart_rate": 70})
    assert await home.rows("SELECT time, quality FROM reading") == [(now, 4)]


async def test_an_old_reading_is_stored_and_not_judged(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    old = now - timedelta(hours=5)
    await feed.v1("W-0001", "vitals", now, seq=1, t=old, replayed=True, vitals={"heart_rate": 160})
    assert await home.rows("SELECT time, quality FROM reading") == [(old, 1)]
    assert witness.raised == []


async def test_an_alarm_that_waited_in_the_devices_buffer_still_rings(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device("P-0001", "sl-pendant-1", elder=await home.elder())
    old = now - timedelta(hours=5)
    await feed.v1("P-0001", "alarm", now, seq=1, t=old, replayed=True, alarm="sos")
    [alarm] = witness.raised
    assert alarm.device_time == old
    assert alarm.received_at == now
    assert alarm.detail["replayed"] is True


async def test_an_implausible_value_is_kept_flagged_and_never_rings(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    await feed.v1("W-0001", "vitals", now, seq=1, vitals={"heart_rate": 10, "spo2": 3})
    assert await home.rows("SELECT quality FROM reading") == [(8,), (8,)]
    assert witness.raised == []
    assert await home.states() == {}


async def test_a_vital_beyond_the_limits_rings_as_the_rules_say(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    for minute, pulse in enumerate((125, 126, 145, 144, 90, 90)):
        await feed.v1(
            "W-0001", "vitals", now + timedelta(minutes=minute), seq=minute,
            vitals={"heart_rate": pulse},
        )  # fmt: skip
    assert await home.alarms() == [
        ("heart_rate_high", "major", "rule"),
        ("heart_rate_high", "critical", "rule"),
    ]
    assert [each.kind.value for each in witness.cleared] == ["heart_rate_high"]
    assert await home.states() == {}


async def test_an_elders_own_limits_go_before_the_defaults(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    elder = await home.elder()
    await home.device("W-0001", elder=elder)
    async with home.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO elder_threshold (elder_id, metric, high_critical, updated_at)"
            " VALUES (%s, 'heart_rate', 150, %s)",
            (elder, now),
        )
    await feed.v1("W-0001", "vitals", now, seq=1, vitals={"heart_rate": 145})
    await feed.v1("W-0001", "vitals", now, seq=2, vitals={"heart_rate": 45})
    assert witness.raised == []
    later = now + timedelta(minutes=1)
    await feed.v1("W-0001", "vitals", later, seq=3, vitals={"heart_rate": 151})
    assert await home.alarms() == [("heart_rate_high", "critical", "rule")]


async def test_a_device_in_test_mode_raises_test_alarms(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    no = await home.device("P-0001", "sl-pendant-1", elder=await home.elder())
    await home.set(no, test_until=now + timedelta(minutes=1))
    await feed.v1("P-0001", "alarm", now, seq=1, alarm="fall")
    assert [alarm.test for alarm in witness.raised] == [True]


async def test_a_device_in_maintenance_still_calls_for_life_and_not_for_itself(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    await home.set(no, maintenance_until=now + timedelta(hours=1))
    for seq, kind in enumerate(("fall", "sos", "tamper", "low_battery"), 1):
        await feed.v1("W-0001", "alarm", now, seq=seq, alarm=kind)
    assert sorted(witness.kinds) == ["fall", "low_battery", "sos"]
    assert not any(alarm.test for alarm in witness.raised)
    recorded = await home.rows("SELECT kind FROM alarm WHERE suppressed = 'device_maintenance'")
    assert recorded == [("tamper",)]


async def test_a_condition_that_is_restated_rings_once_and_is_cleared(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device(
        "S-0001", "z2m-smoke", elder=await home.elder(), alias=("zigbee2mqtt", "smoke")
    )
    for second, smoke in enumerate((False, True, True, True, False, False)):
        payload = body(smoke=smoke, battery=90 - second)
        at = now + timedelta(seconds=second)
        await feed.give(feed.mqtt("zigbee2mqtt/smoke", payload, at))
    assert witness.kinds == ["smoke"]
    assert [each.kind.value for each in witness.cleared] == ["smoke"]
    assert await home.states() == {}


async def test_a_last_will_is_no_sign_of_life(home: Home, feed: Feed, now: datetime) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    await feed.v1("W-0001", "status", now, seq=1, online=True, battery=64, firmware="2.0.1")
    will = now + timedelta(minutes=2)
    await feed.give(feed.mqtt("silverline/v1/W-0001/status", b'{"online":false}', will))
    row = (
        await home.rows(
            "SELECT online, last_seen_at, battery_percent, firmware FROM device WHERE no = %s", no
        )
    )[0]
    assert row == (False, now, 64.0, "2.0.1")


async def test_an_answer_to_a_command_is_noted_once(home: Home, feed: Feed, now: datetime) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    other = await home.device("W-0002", elder=await home.elder())
    command = await home.value(
        "INSERT INTO device_command (id, device_no, name, created_at, due_at, expires_at)"
        " VALUES (gen_random_uuid(), %s, 'ring', %s, %s, %s) RETURNING id",
        no, now, now, now + timedelta(hours=1),
    )  # fmt: skip
    await feed.v1("W-0002", "ack", now, seq=1, command=str(command), ok=False)
    assert await home.value("SELECT state FROM device_command") == "queued"
    await feed.v1("W-0001", "ack", now, seq=1, command=str(command), ok=True, detail="rang")
    assert await home.rows("SELECT state, detail, settled_at FROM device_command") == [
        ("acknowledged", "rang", now)
    ]
    assert other != no


async def test_an_older_fix_does_not_replace_a_newer_one(
    home: Home, feed: Feed, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    await feed.v1("W-0001", "location", now, seq=2, lat=40.80, lon=111.60)
    old = now - timedelta(minutes=20)
    await feed.v1("W-0001", "location", now, seq=1, t=old, lat=40.70, lon=111.50)
    row = (await home.rows("SELECT lat, lon, position_at FROM device WHERE no = %s", no))[0]
    assert row == (40.80, 111.60, now)


async def test_a_watch_speaks_over_tcp_under_its_alias(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    elder = await home.elder()
    await home.device("T-0001", "setracker-4g", elder=elder, alias=("setracker", "4700609403"))
    await feed.give(feed.tcp(b"[3G*4700609403*0013*bphrt,120,79,73,,,,]", now))
    values = await home.rows("SELECT metric, value FROM reading ORDER BY metric")
    assert values == [(1, 73.0), (3, 120.0), (4, 79.0)]


async def test_a_byte_stream_cannot_pass_for_a_device_of_another_protocol(
    home: Home, feed: Feed, now: datetime
) -> None:
    await home.device("4700609403", "sl-watch-1", elder=await home.elder())
    await feed.give(feed.tcp(b"[3G*4700609403*0013*bphrt,120,79,73,,,,]", now))
    assert [letter[0] for letter in await home.letters()] == ["unknown_device"]
