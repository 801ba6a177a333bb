"""What we ask of devices: a queue that lasts, from the request to the device's own answer."""
