"""A list of devices: wrong cells are said, all of it goes into stock or nothing, secrets once."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from care.sheets.reading import Row
from devices.credentials import service as credentials
from devices.imports import service as imports
from devices.imports.importer import interpret
from devices.imports.model import Import, Interpretation, State
from devices.registry import inventory
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples, fetch_value
from kernel.errors import Conflict, NotFound
from tests.devices.registry.world import CITY, XINCHENG, YUQUAN, add_device, add_person

HEAD = ("设备编号*", "型号", "存放区划", "序列号", "网关", "IMEI", "备注")


@dataclass
class Places:
    """Two places by name, one name for both."""

    def code_of(self, text: str) -> list[str]:
        known = {"新城": [XINCHENG], "玉泉": [YUQUAN], "街道": [XINCHENG, YUQUAN]}
        return known.get(text, [text] if text in (XINCHENG, YUQUAN, CITY) else [])


@pytest.fixture
async def actor(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        return await add_person(tx, now)


def understood(
    *rows: tuple[str, ...], usual: str = "", head: tuple[str, ...] = HEAD
) -> Interpretation:
    sheet = [Row(1, ("设备入库清单",)), Row(2, head)]
    sheet += [Row(3 + number, cells) for number, cells in enumerate(rows)]
    return interpret(sheet, Places(), usual_division=usual)


def said(found: Interpretation | Import) -> list[tuple[int, str]]:
    lines = found.report.problems if isinstance(found, Import) else found.problems
    return [(line.row, f"{line.field}.{line.code}") for line in lines]


async def previewed(
    db: Database, actor: Actor, now: datetime, found: Interpretation, *, secrets: bool = False
) -> Import:
    async with db.transaction() as tx:
        import_id = await imports.preview(
            tx, found, filename="清单.xlsx", with_secrets=secrets, actor=actor, now=now
        )
        return await imports.get(tx, actor, import_id)


async def confirmed(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime, one: Import
) -> Import:
    async with db.transaction() as tx:
        return await imports.confirm(tx, cipher, actor, one.id, now)


def test_every_wrong_cell_is_said_with_its_row_and_heading() -> None:
    found = understood(
        ("W-1", "sl-watch-1", "新城"),
        ("W-1", "健康手表 SL-W1", "玉泉"),
        ("", "sl-watch-1", "新城"),
        ("W 3", "没有这种", "街道"),
        ("claim", "sl-watch-1", "哪里"),
        ("W-5", "sl-watch-1", "", "S" * 65),
        ("4G-1", "setracker-4g", "新城", "", "", "8.80000000015E+14"),
        ("4G-2", "setracker-4g", "新城", "", "", "8800000015"),
        ("4G-3", "setracker-4g", "新城", "", "4G-3", "8800000015"),
    )
    assert said(found) == [
        (4, "device_id.twice"), (5, "device_id.required"), (6, "profile.unknown"),
        (6, "device_id.form"), (6, "division_code.ambiguous"), (7, "device_id.form"),
        (7, "division_code.not_found"), (8, "serial.too_long"), (8, "division_code.required"),
        (9, "address.rounded"), (11, "gateway_id.itself"), (11, "address.twice"),
    ]  # fmt: skip
    assert found.ignored == ("备注",)
    assert {line.column for line in found.problems} >= {"设备编号*", "存放区划", "IMEI"}
    assert found.rows[1].profile == "sl-watch-1"


def test_a_file_without_headings_or_rows_says_so() -> None:
    assert said(interpret([Row(1, ("a", "b"))], Places())) == [(1, "file.heading_missing")]
    assert said(understood()) == [(2, "file.no_rows")]
    assert understood(("W-1", "sl-watch-1"), usual=CITY).rows[0].division_code == CITY


async def test_a_list_goes_into_stock_whole_with_its_gateway_and_names(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    one = await previewed(
        db, actor, now,
        understood(
            ("D-1", "sl-door-1", "新城", "SN1", "H-1"), ("H-1", "sl-gateway-1", "新城"),
            ("4G-1", "setracker-4g", "玉泉", "", "", "8800000015"),
        ),
    )  # fmt: skip
    assert one.ready
    done = await confirmed(db, cipher, actor, now, one)
    assert (done.state, done.report.problems) == (State.IMPORTED, ())
    async with db.connection() as conn:
        door = await inventory.by_id(conn, "D-1")
        names = await fetch_tuples(conn, "SELECT codec, address FROM device_alias")
    assert door is not None
    assert (door.gateway_id, door.serial, door.division_code) == ("H-1", "SN1", XINCHENG)
    assert names == [("setracker", "8800000015")]
    with pytest.raises(Conflict):
        await confirmed(db, cipher, actor, now, one)


async def test_one_row_that_the_registry_refuses_keeps_everything_out(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        await add_device(tx, actor, now, "W-1")
        await add_device(tx, actor, now, "4G-0", profile="setracker-4g", address="8800000015")
    one = await previewed(
        db, actor, now,
        understood(
            ("W-1", "sl-watch-1", "新城"), ("W-2", "sl-watch-1", "150902000000"),
            ("W-3", "sl-watch-1", "新城", "", "H-9"), ("W-4", "sl-watch-1", "新城", "", "W-1"),
            ("4G-1", "setracker-4g", "新城", "", "", "8800000015"), ("W-5", "sl-watch-1", "新城"),
            usual="150902000000",
        ),
    )  # fmt: skip
    assert said(one) == [
        (3, "device_id.taken"), (4, "division_code.not_found"), (5, "gateway_id.unknown"),
        (6, "gateway_id.unknown"), (7, "address.taken"),
    ]  # fmt: skip
    again = await confirmed(db, cipher, actor, now, one)
    assert again.state is State.PREVIEWED
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM device") == 2
    outside = await previewed(
        db, actor, now, understood(("W-6", "sl-watch-1"), usual="150902000000")
    )
    assert said(outside) == [(3, "division_code.outside")]


async def test_what_was_taken_between_preview_and_confirmation_is_found(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    one = await previewed(
        db, actor, now, understood(("W-1", "sl-watch-1", "新城"), ("W-2", "sl-watch-1", "新城"))
    )
    other = await previewed(
        db, actor, now, understood(("W-2", "sl-watch-1", "新城"), ("W-3", "sl-watch-1", "新城"))
    )
    results = await asyncio.gather(
        confirmed(db, cipher, actor, now, one), confirmed(db, cipher, actor, now, other)
    )
    assert sorted(result.state for result in results) == [State.IMPORTED, State.PREVIEWED]
    late = next(result for result in results if result.state is State.PREVIEWED)
    assert [code for _, code in said(late)] == ["device_id.taken"]
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM device") == 2


async def test_credentials_are_fetched_once_and_open_the_door(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    one = await previewed(
        db, actor, now,
        understood(
            ("H-1", "sl-gateway-1", "新城"), ("W-1", "sl-watch-1", "新城"),
            ("D-1", "sl-door-1", "新城", "", "H-1"), ("4G-1", "setracker-4g", "新城", "", "", "88"),
        ),
        secrets=True,
    )  # fmt: skip
    done = await confirmed(db, cipher, actor, now, one)
    assert done.secrets_until == now + imports.KEPT
    async with db.transaction() as tx:
        secrets = await imports.take_secrets(tx, cipher, actor, one.id, now)
        assert [secret.device_id for secret in secrets] == ["H-1", "W-1"]
        grant = await credentials.authenticate(tx, "W-1", secrets[1].password)
        assert grant is not None
        assert grant.device_id == "W-1"
    with pytest.raises(NotFound):
        async with db.transaction() as tx:
            await imports.take_secrets(tx, cipher, actor, one.id, now)


async def test_nobody_elses_and_nothing_old_is_kept(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        other = await add_person(tx, now, username="surna")
    waiting = await previewed(db, actor, now, understood(("W-1", "sl-watch-1", "新城")))
    with pytest.raises(NotFound):
        await confirmed(db, cipher, other, now, waiting)
    done = await previewed(db, actor, now, understood(("W-2", "sl-watch-1", "新城")), secrets=True)
    await confirmed(db, cipher, actor, now, done)
    await imports.expire_old(db, now + imports.KEPT + timedelta(seconds=1))
    with pytest.raises(Conflict):
        await confirmed(db, cipher, actor, now, waiting)
    async with db.connection() as conn:
        kept = await fetch_value(
            conn, "SELECT count(*) FROM device_import WHERE secrets_enc IS NOT NULL"
        )
    assert kept == 0


async def test_a_name_counts_in_the_protocol_of_the_bridge_that_speaks_for_the_device(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    """A LoRaWAN sensor is the same behind ChirpStack and The Things Stack."""
    async with db.transaction() as tx:
        await add_device(tx, actor, now, "LT-0001", profile="ls-tts")
    rows = (
        ("LT-0002", "ls-tts", XINCHENG, "", "", ""),
        ("B-0001", "ls-ws101", XINCHENG, "", "LT-0001", "button-1"),
        ("B-0002", "ls-ws101", XINCHENG, "", "LT-0002", "button-2"),
        ("B-0003", "ls-ws101", XINCHENG, "", "", "24e124000000000b"),
    )
    one = await previewed(db, actor, now, understood(*rows))
    assert said(one) == []
    await confirmed(db, cipher, actor, now, one)
    async with db.transaction() as tx:
        found = await fetch_tuples(tx, "SELECT codec, address FROM device_alias ORDER BY 2", ())
        assert found == [
            ("chirpstack", "24e124000000000b"), ("tts", "button-1"), ("tts", "button-2"),
        ]  # fmt: skip
    again = await previewed(
        db, actor, now, understood(("B-0004", "ls-ws101", XINCHENG, "", "LT-0001", "button-2"))
    )
    assert said(again) == [(3, "address.taken")]
