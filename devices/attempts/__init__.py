"""Limits on guessing claim codes and batch keys."""
