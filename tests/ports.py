"""Ports for servers that a test starts in a moment."""

from app import stack


def free_port() -> int:
    """A free port on loopback that no outgoing connection is given before the server listens."""
    return stack.free_port("127.0.0.1", 0)
