"""What a client of R4 asks with: orders, ids, what is sent along, formats, forms, strictness."""

import uuid
from datetime import timedelta

import pytest

from kernel.auth.model import Role
from kernel.db import fetch_tuples
from tests.hotline.serving import Site
from tests.ingest.fhir.conftest import Json, System, Ward, checked, entries, link

DAY = timedelta(days=1)


async def bed(ward: Ward, *minutes: int) -> tuple[uuid.UUID, int, System]:
    """An elder with a watch that measured at these minutes, and a system that may ask."""
    elder, watch, system = await ward.site.world.elder(), await ward.device(), await ward.system()
    await ward.bind(watch, elder.id, -DAY)
    await ward.put(watch, *((minute, 60.0 - minute) for minute in minutes))
    return elder.id, watch, system


def values(found: list[Json]) -> list[float]:
    return [one["valueQuantity"]["value"] for one in found]


async def test_the_oldest_come_first_where_that_is_asked_also_over_pages(ward: Ward) -> None:
    elder, _, system = await bed(ward, *range(-10, 0))
    page = await system.get("Observation", patient=str(elder), _sort="date", _count="4")
    seen = entries(page)
    while (following := link(page, "next")) is not None:
        page = await system.get(following)
        seen += entries(page)
    assert values(seen) == [60.0 + n for n in range(10, 0, -1)]


async def test_dates_and_devices_narrow_a_search_and_alternatives_widen_it(ward: Ward) -> None:
    elder, watch, system = await bed(ward, -3, -2, -1)
    other = await ward.device()
    await ward.bind(other, elder, -DAY)
    await ward.put(other, (-2, 99.0))
    minute = {n: (ward.now + timedelta(minutes=n)).isoformat()[:16] + "Z" for n in (-3, -2, -1)}
    assert values(await system.observations(elder, date=f"ne{minute[-2]}")) == [61.0, 63.0]
    assert values(
        await system.observations(elder, date=f"{minute[-3]},{minute[-1]}", _sort="date")
    ) == [63.0, 61.0]
    assert values(await system.observations(elder, device=f"Device/{other}")) == [99.0]
    assert len(await system.observations(elder, device=str(watch), status="final")) == 3
    assert await system.observations(elder, status="preliminary") == []


@pytest.mark.parametrize(
    "name", ["{}", "Patient/{}", "https://12349.example.cn/fhir/Patient/{}"], ids=len
)
async def test_a_patient_is_named_in_each_way_of_a_reference(ward: Ward, name: str) -> None:
    elder, _, system = await bed(ward, -1)
    for parameter in ("patient", "subject"):
        page = await system.get("Observation", **{parameter: name.format(elder)})
        assert len(entries(page)) == 1


async def test_observations_are_found_by_their_ids(ward: Ward) -> None:
    elder, _, system = await bed(ward, -2, -1)
    new, old = (one["id"] for one in await system.observations(elder))
    wanted = {"_id": f"{old},{new},1.8867-4.0,nothing"}
    assert [one["id"] for one in entries(await system.get("Observation", **wanted))] == [new, old]
    narrowed = await system.get("Observation", patient=str(uuid.uuid4()), **wanted)
    assert entries(narrowed) == []
    elsewhere = await ward.system("1502")
    assert entries(await elsewhere.get("Observation", **wanted)) == []


async def test_what_is_referred_to_is_sent_along(ward: Ward) -> None:
    elder, watch, system = await bed(ward, -2, -1)
    page = await system.get(
        f"/fhir/Observation?patient={elder}"
        "&_include=Observation:device&_include=Observation:subject:Patient",
    )  # fmt: skip
    modes = [
        (entry["search"]["mode"], entry["resource"]["resourceType"]) for entry in page["entry"]
    ]
    assert modes == [("match", "Observation")] * 2 + [("include", "Patient"), ("include", "Device")]
    sent = {entry["fullUrl"].rpartition("/fhir/")[2] for entry in page["entry"]}
    assert {f"Patient/{elder}", f"Device/{watch}"} <= sent


async def test_a_patient_shows_a_system_a_mix_up_and_a_person_the_name(
    site: Site, ward: Ward
) -> None:
    elder, _, system = await bed(ward)
    (found,) = entries(await system.get("Patient", _id=str(elder)))
    assert found == await system.get(f"Patient/{elder}")
    assert "*" in found["name"][0]["text"]
    assert len(found["birthDate"]) == 4
    assert found["meta"]["security"][0]["code"] == "MASKED"
    person, _ = await site.login("王芳", Role.OPERATOR)
    seen = checked((await person.get(f"/fhir/Patient/{elder}")).json())
    assert "*" not in seen["name"][0]["text"]
    assert len(seen["birthDate"]) == 10
    await (await ward.system("1502")).get(f"Patient/{elder}", 404)
    await system.get("Patient/nobody", 404)
    await system.get("Patient", 400)
    async with ward.db.connection() as conn:
        noted = await fetch_tuples(
            conn,
            "SELECT actor_name FROM audit_log WHERE action = 'elder.read' AND subject_id = %s"
            " AND detail ->> 'part' = 'fhir.Patient'",
            (str(elder),),
        )
    assert len(noted) == 3


async def test_what_is_not_served_may_be_passed_over_by_who_says_so(ward: Ward) -> None:
    elder, _, system = await bed(ward, -1)
    bearer = {"Authorization": f"Bearer {system.token}"}
    query = {"patient": str(elder), "value-quantity": "gt100", "code": ""}
    strict = await system.client.get("/fhir/Observation", params=query, headers=bearer)
    assert strict.status_code == 400
    lenient = await system.client.get(
        "/fhir/Observation", params=query, headers=bearer | {"Prefer": "handling=lenient"}
    )
    page = checked(lenient.json())
    assert len(entries(page)) == 1
    assert link(page, "self") == f"/fhir/Observation?patient={elder}"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+json", 200),
        ("application/json;q=0.5, text/html", 200),
        ("text/html,*/*;q=0.8", 200),
        ('application/fhir+json; fhirVersion="4.0"', 200),
        ("application/fhir+json;fhirVersion=5.0", 406),
        ("application/fhir+xml", 406),
        ("application/json;q=0", 406),
    ],
)
async def test_only_json_of_r4_is_served(site: Site, accept: str, status: int) -> None:
    answer = await site.client().get("/fhir/metadata", headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/fhir+json"
    checked(answer.json())
    named = await site.client().get(
        "/fhir/metadata?_format=json&_pretty=true", headers={"Accept": accept}
    )
    assert named.text.startswith("{\n  ")


async def test_a_search_by_post_says_the_same_and_nothing_can_be_written(ward: Ward) -> None:
    elder, _, system = await bed(ward, -2, -1)
    bearer = {"Authorization": f"Bearer {system.token}"}
    wanted = {"patient": str(elder), "_count": "1"}
    posted = await system.client.post("/fhir/Observation/_search", data=wanted, headers=bearer)
    assert checked(posted.json()) == await system.get("Observation", **wanted)
    plain = await system.client.post("/fhir/Observation/_search", json=wanted, headers=bearer)
    assert plain.status_code == 415
    for method in ("POST", "PUT", "DELETE"):
        refused = await system.client.request(method, "/fhir/Observation", headers=bearer)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        checked(refused.json())
    head = await system.client.head("/fhir/Observation", params=wanted, headers=bearer)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == "application/fhir+json"
