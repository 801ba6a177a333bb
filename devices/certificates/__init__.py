"""X.509 client certificates of devices: our own authority, or another one's certificates known."""
