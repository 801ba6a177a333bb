"""Devices: the registry, their profiles, codecs, credentials and commands."""
