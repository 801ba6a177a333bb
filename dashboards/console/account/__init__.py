"""Logging in and out, one's own password, looks and duty."""
