"""The audit log: search, verify, export. For the auditor."""
