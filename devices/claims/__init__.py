"""Claim codes: printed on a label, they let whoever holds a device bind it, once."""
