"""FHIR over HTTP: what is found, how it is told, who may read it, and that it is written down."""

from datetime import timedelta

from ingest.telemetry.model import Quality
from kernel.auth.model import Role
from kernel.db import fetch_tuples
from tests.hotline.serving import Site
from tests.ingest.fhir.conftest import Json, System, Ward, checked, entries, link

DAY = timedelta(days=1)


def value(observation: Json) -> float:
    found: float = observation["valueQuantity"]["value"]
    return found


def code_of(observation: Json) -> str:
    found: str = observation["code"]["coding"][0]["code"]
    return found


async def test_an_observation_has_loinc_ucum_time_and_interpretation(ward: Ward) -> None:
    elder, watch, system = await ward.site.world.elder(), await ward.device(), await ward.system()
    await ward.bind(watch, elder.id, -DAY)
    await ward.put(watch, (-1, 72.0), (-2, 141.0), (-3, 55.0))
    high, *_ = await system.observations(elder.id, date="eq2026-03-05T22:01:00")
    assert high == {
        "resourceType": "Observation",
        "id": f"{watch}.8867-4.1772719260000000",
        "status": "final",
        "category": high["category"],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
            "text": "心率",
        },
        "subject": {
            "reference": f"Patient/{elder.id}",
            "type": "Patient",
            "identifier": {"system": "urn:silverline:elder", "value": str(elder.id)},
        },
        "effectiveDateTime": "2026-03-05T14:01:00Z",
        "device": {"reference": f"Device/{watch}"},
        "valueQuantity": {
            "value": 141,
            "unit": "/min",
            "system": "http://unitsofmeasure.org",
            "code": "/min",
        },
        "interpretation": high["interpretation"],
    }
    found = await system.observations(elder.id)
    assert [value(one) for one in found] == [72, 141, 55]
    marks = [one["interpretation"][0]["coding"][0]["code"] for one in found]
    assert marks == ["N", "HH", "L"]
    assert await system.get(f"Observation/{high['id']}") == high


async def test_blood_pressure_is_a_panel(ward: Ward) -> None:
    elder, cuff, system = await ward.site.world.elder(), await ward.device(), await ward.system()
    await ward.bind(cuff, elder.id, -DAY)
    await ward.put(cuff, (-1, 182.0), (-9, 120.0), metric="bp_systolic")
    await ward.put(cuff, (-1, 79.0), (-5, 80.0), metric="bp_diastolic")
    whole, lower, upper = await system.observations(elder.id, code="http://loinc.org|85354-9")
    assert [code_of(one) for one in (whole, lower, upper)] == ["85354-9"] * 3
    assert [code_of(part) for part in whole["component"]] == ["8480-6", "8462-4"]
    assert [value(part) for part in whole["component"]] == [182, 79]
    assert whole["component"][0]["valueQuantity"]["code"] == "mm[Hg]"
    assert whole["component"][0]["interpretation"][0]["coding"][0]["code"] == "H"
    assert "valueQuantity" not in whole
    assert lower["component"][0]["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert upper["component"][1]["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert await system.get(f"Observation/{whole['id']}") == whole
    assert await system.observations(elder.id, code="8480-6") == []
    assert len(await system.observations(elder.id, **{"combo-code": "8480-6"})) == 3


async def test_what_the_quality_of_a_reading_becomes(ward: Ward) -> None:
    elder, watch, system = await ward.site.world.elder(), await ward.device(), await ward.system()
    await ward.bind(watch, elder.id, -DAY)
    await ward.put(
        watch,
        (-1, 255.0, Quality.IMPLAUSIBLE),
        (-2, 70.0, Quality.TIME_ESTIMATED | Quality.REPLAYED),
        (-3, 71.0, Quality.TEST),
    )
    await ward.put(watch, (-4, 90.0), metric="battery")
    impossible, estimated = await system.observations(elder.id)
    assert "valueQuantity" not in impossible
    assert impossible["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert "255 /min" in impossible["note"][0]["text"]
    assert "time is that of arrival" in estimated["note"][0]["text"]


async def test_pages_follow_each_other_without_gap_or_repetition(ward: Ward) -> None:
    """Two devices at the same moments, several metrics, and readings that come in between."""
    elder, system = await ward.site.world.elder(), await ward.system()
    for device in (await ward.device(), await ward.device()):
        await ward.bind(device, elder.id, -DAY)
        await ward.put(device, *((-n, 60.0 + n) for n in range(20)))
        await ward.put(device, *((-n, 97.0) for n in range(0, 20, 2)), metric="spo2")
        await ward.put(device, *((-n, 120.0) for n in range(0, 20, 5)), metric="bp_systolic")
        await ward.put(device, *((-n, 80.0) for n in range(0, 20, 5)), metric="bp_diastolic")
    page = await system.get("Observation", patient=str(elder.id), _count="7")
    seen = entries(page)
    while (following := link(page, "next")) is not None:
        await ward.put(device, (5 + len(seen), 99.0))
        page = await system.get(following)
        assert len(entries(page)) <= 7
        seen += entries(page)
    assert len(seen) == len({one["id"] for one in seen}) == 2 * (20 + 10 + 4)
    times = [one["effectiveDateTime"] for one in seen]
    assert times == sorted(times, reverse=True)


async def test_only_what_was_measured_while_the_device_was_the_elders(ward: Ward) -> None:
    first, second = await ward.site.world.elder(), await ward.site.world.elder("王桂花")
    watch, system = await ward.device(), await ward.system()
    await ward.bind(watch, first.id, -DAY, timedelta(minutes=-10))
    await ward.bind(watch, second.id, timedelta(minutes=-5))
    await ward.put(watch, *((-n, 60.0 + n) for n in range(1, 15)))
    assert [value(one) for one in await system.observations(first.id)] == [71, 72, 73, 74]
    assert [value(one) for one in await system.observations(second.id)] == [61, 62, 63, 64, 65]
    at = int((ward.now - timedelta(minutes=7)).timestamp()) * 1_000_000
    await system.get(f"Observation/{watch}.8867-4.{at}", 404)


async def test_nobody_sees_beyond_the_division(ward: Ward) -> None:
    elder, watch = await ward.site.world.elder(), await ward.device(serial="S-1")
    await ward.bind(watch, elder.id, -DAY)
    await ward.put(watch, (-1, 72.0))
    here, there = await ward.system("150102"), await ward.system("150103")
    (found,) = await here.observations(elder.id)
    assert (await there.get("Observation", 404, patient=str(elder.id)))["issue"][0]["code"] == (
        "not-found"
    )
    await there.get(f"Observation/{found['id']}", 404)
    await there.get(f"Device/{watch}", 404)
    assert entries(await there.get("Device")) == []
    assert [one["id"] for one in entries(await here.get("Device"))] == [str(watch)]


async def test_a_session_reads_by_its_roles_and_a_token_only_if_it_is_for_reading(
    site: Site, ward: Ward
) -> None:
    elder = await site.world.elder()
    operator, _ = await site.login("王芳", Role.OPERATOR)
    officer, _ = await site.login("赵敏", Role.SUBSIDY_OFFICER, division="")
    stranger = System(site.client(), "")
    query = {"patient": str(elder.id)}
    assert (await operator.get("/fhir/Observation", params=query)).status_code == 200
    assert (await officer.get("/fhir/Observation", params=query)).status_code == 200
    refused = await officer.get("/fhir/Device")
    assert refused.status_code == 403
    assert checked(refused.json())["issue"][0]["code"] == "forbidden"
    assert (await stranger.get("Observation", 401))["issue"][0]["code"] == "login"
    pushing = await ward.system(codec="chirpstack")
    assert (await pushing.get("Device", 403))["issue"][0]["code"] == "forbidden"
    await System(site.client(), "sls_guessed").get("Device", 401)
    reading = await ward.system()
    pushed = await site.client().post(
        "/ingest/http/chirpstack", headers={"Authorization": f"Bearer {reading.token}"}
    )
    assert pushed.status_code == 403


async def test_every_reading_is_in_the_audit_log(ward: Ward) -> None:
    elder, watch, system = await ward.site.world.elder(), await ward.device(), await ward.system()
    await ward.bind(watch, elder.id, -DAY)
    await ward.put(watch, (-1, 72.0))
    (found,) = await system.observations(elder.id)
    await system.get(f"Observation/{found['id']}")
    await system.get(f"Device/{watch}")
    async with ward.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT action, subject_id, actor_name LIKE 'his-%' OR actor_name LIKE 'source:his-%'"
            " FROM audit_log WHERE action IN ('elder.read', 'device.viewed') ORDER BY seq",
        )
    assert [row[0] for row in rows] == ["elder.read", "elder.read", "device.viewed"]
    assert rows[0][1] == str(elder.id)
    assert all(row[2] for row in rows)


async def test_devices_are_found_by_patient_identifier_and_status(ward: Ward) -> None:
    elder, system = await ward.site.world.elder(), await ward.system()
    watch = await ward.device(
        id="W-1", elder_id=elder.id, state="bound", serial="SN1", firmware="1.4.2", online=True
    )
    old = await ward.device(id="W-2", state="retired")
    (found,) = entries(await system.get("Device", patient=f"Patient/{elder.id}"))
    assert found["id"] == str(watch)
    assert found["identifier"] == [{"system": "urn:silverline:device", "value": "W-1"}]
    assert (found["status"], found["serialNumber"]) == ("active", "SN1")
    assert found["version"] == [{"value": "1.4.2"}]
    assert found["patient"]["reference"] == f"Patient/{elder.id}"
    assert found == await system.get(f"Device/{watch}")
    queries = (
        {"status": "inactive"},
        {"identifier": "urn:silverline:device|W-2"},
        {"_id": f"{old}"},
    )
    for query in queries:
        assert [one["id"] for one in entries(await system.get("Device", **query))] == [str(old)]
    page = await system.get("Device", _count="1")
    following = link(page, "next")
    assert following is not None
    last = await system.get(following)
    assert (entries(last)[0]["id"], link(last, "next")) == (str(old), None)


async def test_what_is_wrong_is_said_in_fhir(ward: Ward) -> None:
    elder, system = await ward.site.world.elder(), await ward.system()
    who = {"patient": str(elder.id)}
    for query, issue in (
        ({}, "required"),
        ({"patient": "somebody"}, "invalid"),
        (who | {"date": "yesterday"}, "invalid"),
        (who | {"date": ",".join(["2026"] * 21)}, "too-costly"),
        (who | {"code:not": "8867-4"}, "not-supported"),
        (who | {"_include": "Observation:performer"}, "not-supported"),
        (who | {"_summary": "count"}, "not-supported"),
        (who | {"date": "2026-13"}, "invalid"),
        (who | {"_count": "0"}, "invalid"),
        (who | {"_cursor": "x"}, "invalid"),
        (who | {"value-quantity": "gt100"}, "not-supported"),
        (who | {"_sort": "value"}, "not-supported"),
    ):
        answer = await system.get("Observation", 400, **query)
        assert answer["issue"][0]["code"] == issue, query
    for path in (
        "Observation/1",
        "Observation/1.8867-4.99999999999999999",
        "Device/x",
        "Patient/1",
    ):
        await system.get(path, 404)
    assert await system.observations(elder.id, code="not-a-code") == []
    assert await system.observations(elder.id, category="laboratory") == []


async def test_the_server_says_what_it_can_do(site: Site) -> None:
    said = await System(site.client(), "").get("metadata")
    assert said["fhirVersion"] == "4.0.1"
    assert [each["type"] for each in said["rest"][0]["resource"]] == [
        "Observation", "Device", "Patient",
    ]  # fmt: skip
