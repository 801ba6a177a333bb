"""Vitals of our own protocol in columns: the commonest message, hundreds at a time (ADR 0013)."""
