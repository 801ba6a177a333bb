"""Incidents: from the first alarm to the reason why they were closed."""
