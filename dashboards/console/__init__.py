"""The operators' console: the live feed and the pages around the queue."""
