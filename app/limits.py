"""Bounds what a request may send, before any form is parsed or any guard is asked."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A responder's photo (6 MiB) is the largest thing, firmware apart, with its form around it.
LARGEST_BODY = 8 * 1024 * 1024
NOTHING_LARGER: Mapping[str, int] = MappingProxyType({})


class _TooLarge(Exception):
    """The body went on after the limit."""


class BodyLimit:
    """ASGI middleware: 413 for a body over the limit, announced or not."""

    def __init__(
        self, app: ASGIApp, largest: int = LARGEST_BODY, larger: Mapping[str, int] = NOTHING_LARGER
    ) -> None:
        """`larger` has the limits of single paths."""
        self._app = app
        self._largest = largest
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what it sends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        largest = self._larger.get(scope["path"], self._largest)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or len(announced) > 18 or int(announced) > largest:
            await self._refuse(scope, receive, send, largest)
            return
        received = 0
        answered = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > largest:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _TooLarge:
            if not answered:
                await self._refuse(scope, receive, send, largest)

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, largest: int) -> None:
        text = f"The request is larger than {largest // 1024 // 1024} MiB."
        answer = JSONResponse({"code": "too_large", "message": text, "facts": {}}, 413)
        answer.headers["Connection"] = "close"
        await answer(scope, receive, send)
