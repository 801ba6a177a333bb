"""Readings and devices as FHIR R4 resources, for systems of hospitals and clinics. Read only."""
