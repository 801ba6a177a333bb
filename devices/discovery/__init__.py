"""Devices that an existing installation announces: found, then adopted or ignored."""
