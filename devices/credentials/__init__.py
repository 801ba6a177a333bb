"""MQTT credentials of devices: shown once, rotated, revoked at once; what they may be used for."""
