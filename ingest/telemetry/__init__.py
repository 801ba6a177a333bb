"""Telemetry: readings of devices, their rollups, and how a chart gets its points."""
