"""Test, away and maintenance mode: what is held back while they run, and until when."""
