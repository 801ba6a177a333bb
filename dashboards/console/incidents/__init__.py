"""Incidents in the console: the queue, the start page, one incident, the list of all."""
