"""Enacts a drawn fault: does to a command's processing and to its answer what the fault says.

Guarantees:
- Whatever the fault, the effect is the command's own, made by the executor as ever, or there is none.
- The answer's head names the fault, and comes before the body, which may never come: so the caller can tell an
  injected failure from a real one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contracts.faults import INJECTED_FAULT_HEADER, Fault, FaultKind, Moment
from services.kernel import problems
from services.kernel.errors import ServiceError, TryLater

Execute = Callable[[], Awaitable[Response]]
"""Does what the command asks, and answers it. Raises ServiceError."""

_LATE_AT_MOST_S = 60.0
"""How long a late command waits for its caller to hang up before it is executed all the same."""


async def enact(fault: Fault, execute: Execute) -> Response:
    """The answer to a command under a fault.

    Raises:
        ServiceError: the fault is an error, or the command's own.
    """
    response = await _enact(fault, execute)
    response.headers[INJECTED_FAULT_HEADER] = fault.kind
    return response


async def _enact(fault: Fault, execute: Execute) -> Response:
    delay_s = (fault.delay_ms or 0) / 1000
    match fault.kind:
        case FaultKind.REFUSE:
            return await execute()
        case FaultKind.ERROR:
            return problems.of(TryLater("INJECTED_FAULT", "injected: the service fails before any effect"))
        case FaultKind.DUPLICATE:
            first, _ = await asyncio.gather(execute(), execute(), return_exceptions=True)
            if isinstance(first, BaseException):
                raise first
            return first
        case FaultKind.SLOW:
            return _Delayed(await execute(), delay_s)
        case FaultKind.LOST_REPLY:
            await execute()
            return _Broken()
        case FaultKind.GARBAGE:
            await execute()
            return Response("<what is this?>", media_type="application/json")
        case FaultKind.LATE:
            return _Late(execute, delay_s)
        case FaultKind.CRASH_WORKER:
            if fault.moment is not Moment.BEFORE:
                await execute()
            return problems.of(TryLater("INJECTED_FAULT", "injected: the worker is told to die"))


class _Broken(Response):
    """Announces a body and sends none, so that the server closes the connection: the caller gets no reply."""

    def __init__(self) -> None:
        super().__init__(headers={"Content-Length": "1"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await self._begin(send)

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


class _Delayed(Response):
    """Another answer whose body takes its time."""

    def __init__(self, answer: Response, delay_s: float) -> None:
        super().__init__(answer.body, answer.status_code, dict(answer.headers))
        self._delay_s = delay_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await asyncio.sleep(self._delay_s)
        await send({"type": "http.response.body", "body": self.body})


class _Late(_Broken):
    """Executes the command when the caller has gone."""

    def __init__(self, execute: Execute, delay_s: float) -> None:
        super().__init__()
        self._execute = execute
        self._delay_s = delay_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await self._begin(send)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_AT_MOST_S):
                while (await receive())["type"] != "http.disconnect":
                    pass
        await asyncio.sleep(self._delay_s)
        # Nobody is left to be told.
        with suppress(ServiceError):
            await self._execute()
