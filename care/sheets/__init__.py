"""Spreadsheets: bounded and distrusted on the way in, harmless on the way out."""
