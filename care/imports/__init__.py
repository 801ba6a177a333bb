"""Importing many elders at once: look at what a file would do, then do all of it or nothing."""
