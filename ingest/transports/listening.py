"""Opening the ports that devices come in by, and the sentence for when one cannot be had."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from kernel.errors import DomainError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class PortTaken(DomainError):
    """A port cannot be listened on; `what` is the codec that it is for."""

    code = "port_taken"
    status = 500

    def __init__(self, what: str, host: str, port: int, error: OSError) -> None:
        reason = os.strerror(error.errno) if error.errno else str(error)
        super().__init__(f"{what} cannot listen on {host}:{port}: {reason}.", what=what, port=port)


async def listen(what: str, serve: Serve, host: str, port: int, limit: int) -> asyncio.Server:
    """Open a TCP port; 0 is any free one. Raises PortTaken."""
    try:
        return await asyncio.start_server(serve, host, port, limit=limit)
    except OSError as error:
        raise PortTaken(what, host, port, error) from error
