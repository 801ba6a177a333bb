"""The other FHIR R4 resources: Device, Bundle, OperationOutcome, CapabilityStatement. Pure."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

from devices.profiles import PROFILES
from ingest.fhir.model import DeviceRow, Resource
from ingest.fhir.observations import patient
from ingest.fhir.params import DEVICE_SYSTEM, Pairs, cursor_of

_STATUS_REASON = "http://terminology.hl7.org/CodeSystem/device-status-reason"
_ACTIVE = ("stock", "bound")
_SEARCH = {
    "Observation": {
        "patient": "reference",
        "subject": "reference",
        "code": "token",
        "combo-code": "token",
        "category": "token",
        "date": "date",
    },
    "Device": {"_id": "token", "patient": "reference", "identifier": "token", "status": "token"},
}


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
        resource["patient"] = patient(str(row.elder_id))
    return resource


def bundle(
    base: str, kind: str, pairs: Pairs, found: Sequence[Resource], following: str | None
) -> Resource:
    """Return a page of a search. `following` is where the next page begins, None at the end."""
    asked = [(name, value) for name, value in pairs if name != "_cursor"]
    links = [{"relation": "self", "url": _url(base, kind, pairs)}]
    if following is not None:
        rest = [*asked, ("_cursor", cursor_of(following))]
        links.append({"relation": "next", "url": _url(base, kind, rest)})
    page: Resource = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if found:
        page["entry"] = [
            {
                "fullUrl": f"{base}/{kind}/{resource['id']}",
                "resource": resource,
                "search": {"mode": "match"},
            }
            for resource in found
        ]
    return page


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
                "resource": [
                    {
                        "type": kind,
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "searchParam": [
                            {"name": name, "type": of} for name, of in parameters.items()
                        ],
                    }
                    for kind, parameters in _SEARCH.items()
                ],
            }
        ],
    }


def _url(base: str, kind: str, pairs: Pairs) -> str:
    query = urlencode(list(pairs))
    return f"{base}/{kind}?{query}" if query else f"{base}/{kind}"


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
