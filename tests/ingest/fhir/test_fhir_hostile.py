"""What a search must not do to the server, or tell of what the one who asks may not see."""

from datetime import timedelta

import pytest

from ingest.fhir.params import cursor_of
from tests.ingest.fhir.conftest import Ward, checked, entries

NOBODY = "0198f2c6-7d1e-7a40-9b55-0a1b2c3d4e5f"
EIGHTEEN = "9" * 18


@pytest.mark.parametrize(
    "query",
    [
        f"Observation?patient={NOBODY}&date=ap9990",
        f"Observation?patient={NOBODY}&date=ap0002",
        f"Observation?patient={NOBODY}&date=0001",
        f"Observation?patient={NOBODY}&date=9999-12-31T23:59:59Z",
        f"Observation?patient={NOBODY}&date={'2026,' * 4000}",
        f"Observation?patient={NOBODY}&code={'8867-4,' * 4000}",
        f"Observation?patient={NOBODY}&_cursor={cursor_of(f'1.8867-4.-{EIGHTEEN}')}",
        f"Observation?patient={NOBODY}&_cursor={'A' * 20_000}",
        f"Observation?_id=1.8867-4.-62135596800000000,{EIGHTEEN}.8867-4.0",
        f"Observation/{EIGHTEEN}.8867-4.253370764800000000",
        "Observation/%00",
        f"Device?_cursor={cursor_of('9' * 5000)}",
        f"Device?_cursor={cursor_of('9' * 30)}",
        f"Device?_id={EIGHTEEN}",
        "Device?identifier=a%00b",
        f"Device?identifier={'x' * 20_000}",
        "Device/%D9%A3",
        "Patient?identifier=%00",
        "Patient/%00",
        f"Patient?_id={'1,' * 5000}",
    ],
    ids=lambda query: query[:60],
)
async def test_whatever_is_asked_is_answered_in_fhir(ward: Ward, query: str) -> None:
    system = await ward.system()
    answer = await system.client.get(
        f"/fhir/{query}", headers={"Authorization": f"Bearer {system.token}"}
    )
    assert answer.status_code in (200, 400, 404), answer.text
    checked(answer.json())


async def test_the_form_of_a_search_is_bounded(ward: Ward) -> None:
    system = await ward.system()
    bearer = {"Authorization": f"Bearer {system.token}"}
    for form, status in (
        ({"_id": "1," * 100_000}, 413),
        ({f"n{number}": "x" for number in range(101)}, 400),
    ):
        answer = await system.client.post("/fhir/Patient/_search", data=form, headers=bearer)
        assert answer.status_code == status
        checked(answer.json())


async def test_what_lies_elsewhere_is_answered_like_what_is_not_there(ward: Ward) -> None:
    elder, watch = await ward.site.world.elder(), await ward.device()
    await ward.bind(watch, elder.id, -timedelta(days=1))
    await ward.put(watch, (-1, 61.0))
    (here,) = await (await ward.system()).observations(elder.id)
    elsewhere = await ward.system("1502")
    for kind, there, missing in (
        ("Observation", here["id"], f"{watch}.8867-4.1"),
        ("Patient", str(elder.id), NOBODY),
        ("Device", str(watch), EIGHTEEN),
    ):
        assert await elsewhere.get(f"{kind}/{there}", 404) == await elsewhere.get(
            f"{kind}/{missing}", 404
        )
    along = await elsewhere.get("/fhir/Device?_include=Device:patient")
    assert entries(along) == []


async def test_answers_are_kept_by_nobody_on_the_way(ward: Ward) -> None:
    system = await ward.system()
    for path in ("/fhir/Device", "/fhir/Device/7"):
        answer = await system.client.get(path, headers={"Authorization": f"Bearer {system.token}"})
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
