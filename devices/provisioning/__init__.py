"""Devices that register themselves: a key for each batch, an id and a secret for each device."""
