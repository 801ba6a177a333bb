"""Transports: how frames reach us, and how their senders learn that they are safe."""
