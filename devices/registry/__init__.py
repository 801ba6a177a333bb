"""The device registry: what we own, where it is, whose it is."""
