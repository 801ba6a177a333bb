"""The other FHIR R4 resources: Device, Patient, Bundle, errors and what the server can do. Pure."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from devices.profiles import PROFILES
from ingest.fhir import params
from ingest.fhir.model import DeviceRow, Page, PatientRow, Resource
from ingest.fhir.observations import patient_reference
from ingest.fhir.params import DEVICE_SYSTEM, ELDER_SYSTEM, Pairs, cursor_of
from kernel.crypto import mask_name

_STATUS_REASON = "http://terminology.hl7.org/CodeSystem/device-status-reason"
_ACTIVE = ("stock", "bound")
_MASKED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "MASKED",
    "display": "masked",
}
_SEARCH: Mapping[str, Mapping[str, str]] = {
    "Observation": params.OBSERVATION,
    "Device": params.DEVICE,
    "Patient": params.PATIENT,
}
SERVED = frozenset(_SEARCH)


def device(row: DeviceRow) -> Resource:
    """Return the Device of a row of the registry."""
    profile = PROFILES.get(row.profile)
    resource: Resource = {
        "resourceType": "Device",
        "id": str(row.no),
        "meta": {"lastUpdated": _instant(row.updated_at)},
        "identifier": [{"system": DEVICE_SYSTEM, "value": row.id}],
        "status": "active" if row.state in _ACTIVE else "inactive",
        "deviceName": [
            {"name": profile.title_en if profile else row.profile, "type": "model-name"}
        ],
    }
    if profile:
        resource["type"] = {"text": profile.title_zh}
        if profile.vendor:
            resource["manufacturer"] = profile.vendor
    if row.online is not None:
        code, display = ("online", "Online") if row.online else ("offline", "Offline")
        coding = {"system": _STATUS_REASON, "code": code, "display": display}
        resource["statusReason"] = [{"coding": [coding]}]
    if row.serial:
        resource["serialNumber"] = row.serial
    if row.firmware:
        resource["version"] = [{"value": row.firmware}]
    if row.elder_id is not None:
        resource["patient"] = patient_reference(str(row.elder_id))
    return resource


def patient(row: PatientRow, *, full: bool) -> Resource:
    """Return the Patient of an elder; not in full it is as much as shows a mix-up.

    That is the first and last character of the name, and the year of birth.
    """
    resource: Resource = {
        "resourceType": "Patient",
        "id": str(row.id),
        "meta": {"lastUpdated": _instant(row.updated_at)},
        "identifier": [{"system": ELDER_SYSTEM, "value": str(row.id)}],
        "active": row.archived_at is None,
        "name": [{"text": row.name if full else mask_name(row.name)}],
        "gender": row.sex,
    }
    if not full:
        resource["meta"]["security"] = [_MASKED]
    if row.birth_date is not None:
        resource["birthDate"] = row.birth_date.isoformat()[: 10 if full else 4]
    return resource


def bundle(base: str, kind: str, pairs: Pairs, page: Page) -> Resource:
    """Return a page of a search, with links to itself and to the next one, if there is one."""
    asked = [(name, value) for name, value in pairs if name != "_cursor"]
    links = [{"relation": "self", "url": _url(base, kind, pairs)}]
    if page.following is not None:
        rest = [*asked, ("_cursor", cursor_of(page.following))]
        links.append({"relation": "next", "url": _url(base, kind, rest)})
    whole: Resource = {"resourceType": "Bundle", "type": "searchset", "link": links}
    entries = [_entry(base, one, "match") for one in page.found]
    entries += [_entry(base, one, "include") for one in page.along]
    if entries:
        whole["entry"] = entries
    return whole


def _entry(base: str, resource: Resource, mode: str) -> Resource:
    return {
        "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
        "resource": resource,
        "search": {"mode": mode},
    }


def outcome(issue: str, text: str) -> Resource:
    """Return what is wrong as an OperationOutcome. `issue` is of FHIR's issue-type value set."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": issue, "diagnostics": text}],
    }


def capability(base: str, now: datetime) -> Resource:
    """Return what this server can do."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _instant(now),
        "kind": "instance",
        "software": {"name": "Silverline"},
        "implementation": {"description": "Readings of elders' devices, read only", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "description": "The session of a person, or a token (Authorization: Bearer)"
                    " of a system, made by `silverline source add NAME --codec fhir`."
                },
                "resource": [_ability(kind) for kind in _SEARCH],
            }
        ],
    }


def _ability(kind: str) -> Resource:
    """What can be done with a type."""
    ability: Resource = {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": name, "type": of} for name, of in _SEARCH[kind].items()],
    }
    if params.INCLUDES[kind]:
        ability["searchInclude"] = [f"{kind}:{name}" for name in params.INCLUDES[kind]]
    return ability


def _url(base: str, kind: str, pairs: Pairs) -> str:
    query = urlencode(list(pairs))
    return f"{base}/{kind}?{query}" if query else f"{base}/{kind}"


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
