"""All devices at a glance: counts, the long list, where the silent ones are, uptime."""
