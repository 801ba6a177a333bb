"""MQTT credentials of devices: shown once, rotated, revoked at once, and what they may be used for."""
