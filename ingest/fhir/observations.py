"""From readings to FHIR R4 Observations: LOINC, UCUM, blood pressure as a panel. Pure.

What the quality of a reading means here: an implausible value is not told as a value, the reason of
its absence is `error` and a note says what the sensor said; a time that was estimated is said in a
note. Readings of tests are no observations at all (the store leaves them out).

The interpretation follows the limits that count for the elder now: own ones, else the defaults of
the detection rules. Beyond the major limit is L or H, beyond the critical one LL or HH, between
them N; a metric without limits has none.
"""

from collections.abc import Callable, Mapping
from typing import Any

from care.watching.model import Threshold
from devices.metrics import Metric, by_id
from ingest.fhir.model import CATEGORIES, DIASTOLIC, PANEL, SYSTOLIC, Measured, Resource
from ingest.telemetry.model import Quality

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
_HL7 = "http://terminology.hl7.org/CodeSystem/"
_CATEGORY_WORDS = {
    "vital-signs": "Vital Signs",
    "laboratory": "Laboratory",
    "activity": "Activity",
}
_ABSENT_WORDS = {"error": "Error", "unknown": "Unknown"}
_HIGH_LOW = {
    "LL": "Critical low",
    "L": "Low",
    "N": "Normal",
    "H": "High",
    "HH": "Critical high",
}

LimitsOf = Callable[[str], Threshold | None]
"""The limits that count for a metric, by its code; None when it has none."""


def observation(found: Measured, limits: LimitsOf) -> Resource:
    """Return the Observation of what was measured."""
    metric = by_id(found.metric)
    resource: Resource = {
        "resourceType": "Observation",
        "id": found.key.id,
        "status": "final",
        "category": [_category(CATEGORIES[metric.id])],
        "subject": patient_reference(str(found.elder_id)),
        "effectiveDateTime": found.time.isoformat().replace("+00:00", "Z"),
        "device": {"reference": f"Device/{found.device_no}"},
    }
    notes = _notes(found)
    if notes:
        resource["note"] = [{"text": text} for text in notes]
    if metric is SYSTOLIC:
        resource["code"] = _loinc(PANEL, "Blood pressure panel", "血压")
        resource["component"] = [
            {"code": _code(SYSTOLIC)} | _value(SYSTOLIC, found.value, found.quality, limits),
            {"code": _code(DIASTOLIC)}
            | _value(DIASTOLIC, found.second, found.second_quality, limits),
        ]
        return resource
    resource["code"] = _code(metric)
    return resource | _value(metric, found.value, found.quality, limits)


def patient_reference(elder_id: str) -> Resource:
    """Return the reference to an elder."""
    return {
        "reference": f"Patient/{elder_id}",
        "type": "Patient",
        "identifier": {"system": "urn:silverline:elder", "value": elder_id},
    }


def interpretation(value: float, limits: Threshold | None) -> str | None:
    """Return the HL7 v3 code of where a value lies; a limit itself counts as outside."""
    if limits is None:
        return None
    checks: Mapping[str, bool] = {
        "LL": limits.low_critical is not None and value <= limits.low_critical,
        "HH": limits.high_critical is not None and value >= limits.high_critical,
        "L": limits.low_major is not None and value <= limits.low_major,
        "H": limits.high_major is not None and value >= limits.high_major,
    }
    return next((code for code, holds in checks.items() if holds), "N")


def _value(
    metric: Metric, value: float | None, quality: int | None, limits: LimitsOf
) -> dict[str, Any]:
    if value is None:
        return {"dataAbsentReason": _absent("unknown")}
    if not Quality(quality or 0).counts:
        return {"dataAbsentReason": _absent("error")}
    said: dict[str, Any] = {
        "valueQuantity": {
            "value": _number(value),
            "unit": metric.unit_en or metric.ucum,
            "system": UCUM,
            "code": metric.ucum,
        }
    }
    code = interpretation(value, limits(metric.code))
    if code is not None:
        said["interpretation"] = [_concept("v3-ObservationInterpretation", code, _HIGH_LOW[code])]
    return said


def _notes(found: Measured) -> list[str]:
    notes = []
    parts = [(by_id(found.metric), found.value, found.quality)]
    if found.metric == SYSTOLIC.id:
        parts.append((DIASTOLIC, found.second, found.second_quality))
    for metric, value, quality in parts:
        if value is not None and Quality(quality or 0) & Quality.IMPLAUSIBLE:
            notes.append(
                f"The sensor reported {metric.name_en.lower()} {_number(value)} {metric.ucum},"
                " which cannot be."
            )
    if any(Quality(quality or 0) & Quality.TIME_ESTIMATED for _, _, quality in parts):
        notes.append("The device's clock was wrong; the time is that of arrival.")
    return notes


def _number(value: float) -> float | int:
    rounded = round(value, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def _code(metric: Metric) -> Resource:
    return _loinc(metric.loinc or "", metric.name_en, metric.name_zh)


def _loinc(code: str, display: str, text: str) -> Resource:
    return {"coding": [{"system": LOINC, "code": code, "display": display}], "text": text}


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": _HL7 + system, "code": code, "display": display}]}


def _category(code: str) -> Resource:
    return _concept("observation-category", code, _CATEGORY_WORDS[code])


def _absent(code: str) -> Resource:
    return _concept("data-absent-reason", code, _ABSENT_WORDS[code])
