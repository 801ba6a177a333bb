"""Devices that installations announced: found, adopted, ignored (发现的设备)."""
