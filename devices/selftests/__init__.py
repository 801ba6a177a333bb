"""The regular test press: when it was last done, and where it is overdue."""
