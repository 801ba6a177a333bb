"""Hotline: incidents, people who answer them, calls, and who is sent."""
