"""Detection: what readings, positions and silences mean, as pure rules over a small state."""
