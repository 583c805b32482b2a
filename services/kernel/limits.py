"""Refuses bodies over a limit before they reach anything that parses them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel.problems import problem


class BodyLimit:
    """Reads a request's body whole, which is fine for small ones, and answers 413 to the others."""

    def __init__(self, app: ASGIApp, *, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._read(scope, receive)
        if body is None:
            # Closing spares us reading the rest.
            detail = f"a body may have at most {self._limit_bytes} bytes"
            response = problem(413, "BODY_TOO_LARGE", detail, headers={"Connection": "close"})
            await response(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> list[Message] | None:
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._limit_bytes:
                return None
        messages: list[Message] = []
        size = 0
        while not messages or messages[-1].get("more_body", False):
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
            if size > self._limit_bytes:
                return None
        return messages


def _replay(messages: list[Message], receive: Receive) -> Receive:
    pending = iter(messages)

    async def replay() -> Message:
        return next(pending, None) or await receive()

    return replay
