"""Frames that platforms push over HTTP: who they are, what they send, what they are answered."""
