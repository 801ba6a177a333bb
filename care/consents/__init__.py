"""Consents: what somebody agreed to, on which text, and what they took back."""
