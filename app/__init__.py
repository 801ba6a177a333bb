"""Composition root: command line, settings, wiring of ports to adapters, entry points."""
