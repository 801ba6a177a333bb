"""Numbered SQL files; kernel/migrate.py applies them."""
