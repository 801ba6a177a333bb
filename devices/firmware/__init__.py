"""Firmware packages of our own protocol and their staged roll-out."""
