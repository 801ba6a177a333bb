"""The elder: person, phones, home, contacts, consents, own thresholds and watch settings."""
