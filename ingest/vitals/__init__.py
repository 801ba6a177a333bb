"""Vitals of our own protocol in columns: the commonest message, a thousand at a time (ADR 0011)."""
