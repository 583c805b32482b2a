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
        messages = await self._read(scope, receive)
        if messages is None:
            # The connection stays open, and the server drops the rest as it comes. Closing it while the caller is
            # still sending would reset it, and the caller would never see this answer.
            detail = f"a body may have at most {self._limit_bytes} bytes"
            await problem(413, "BODY_TOO_LARGE", detail)(scope, receive, send)
            return
        if messages[-1]["type"] == "http.disconnect":
            return  # half a request, and nobody to answer
        await self._app(scope, _replay(messages, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> list[Message] | None:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit_bytes:
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
