"""The outermost layer: the idempotency key in every answer, a limit on bodies, and no fault without a problem document.

It is plain ASGI, because all three must also hold for requests that no endpoint ever sees.
"""

import re
from http import HTTPStatus
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.web.problems import ApiProblem, internal_error
from contracts.wire import IDEMPOTENCY_KEY_HEADER

_log = structlog.get_logger(__name__)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_KEYED = re.compile(r"/orders|/orders/[^/]+/return|/[^/]+/[^/]+/decisions")
"""The calls that take an idempotency key."""
KEY = "idempotency_key"
KEY_GIVEN = "idempotency_key_given"
"""Where requests carry the key in their state, and whether the caller chose it."""


class Outermost:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            if scope["method"] == "POST" and _KEYED.fullmatch(scope["path"]):
                self._take_key(scope, answer)
            body = await self._read(scope, receive)
            await self._app(scope, _again(body, receive), answer.send)
        except ApiProblem as problem:
            await problem.response()(scope, receive, answer.send)
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("request_failed", method=scope["method"], path=scope["path"])
            if answer.begun:
                raise
            await internal_error().response()(scope, receive, answer.send)

    def _take_key(self, scope: Scope, answer: "_Answer") -> None:
        given = Headers(scope=scope).getlist(IDEMPOTENCY_KEY_HEADER)
        key = given[0] if given else str(uuid4())
        if len(given) > 1 or not _KEY.fullmatch(key):
            raise ApiProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "MALFORMED",
                f"{IDEMPOTENCY_KEY_HEADER}: one, of 1 to 255 printable ASCII characters",
            )
        state = scope.setdefault("state", {})
        state[KEY], state[KEY_GIVEN] = key, bool(given)
        answer.key = key

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, whether its length was declared or not."""
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            raise self._too_large()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> ApiProblem:
        # The connection stays open, and the server drops the rest as it comes. Closing it while the caller is still
        # sending would reset it, and the caller would never see this answer.
        return ApiProblem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "BODY_TOO_LARGE",
            f"a body may have at most {self._max_body_bytes} bytes",
        )


class _Answer:
    """Sends the answer, with the idempotency key in it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.key: str | None = None
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            if self.key is not None:
                MutableHeaders(scope=message)[IDEMPOTENCY_KEY_HEADER] = self.key
        await self._send(message)


def _again(body: bytes, receive: Receive) -> Receive:
    """Hands out a body that has been read already; then what else comes from the connection."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
