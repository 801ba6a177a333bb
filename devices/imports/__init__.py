"""Taking in a list of devices: look at what it would do, then do all of it or nothing."""
