"""Shared kernel: database, outbox, live feed, jobs, auth, audit, crypto, clock, ids, errors."""
