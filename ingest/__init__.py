"""Ingest: from the frames of devices to readings, alarms and dead letters, exactly once."""
