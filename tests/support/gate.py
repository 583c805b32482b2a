"""A gate between a worker and the services, at which a test can stop any call, before or after its effect."""

import asyncio
from collections import defaultdict
from enum import StrEnum

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.faults import INJECTED_FAULT_HEADER
from contracts.wire import IDEMPOTENCY_KEY_HEADER


class Moment(StrEnum):
    BEFORE = "before"
    """The call has left the worker, and has not reached the service."""
    AFTER = "after"
    """The effect is committed, and the reply has not reached the worker."""


class Hold:
    """A call that waits at the gate."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()

    async def wait(self) -> None:
        self.arrived.set()
        await self.released.wait()


class Gate:
    """Passes everything on to the services, except what a test holds back. Holds apply to every attempt."""

    def __init__(self, services: dict[str, str]) -> None:
        self._services = services
        self._http = httpx.AsyncClient(timeout=30, trust_env=False)
        self._holds: dict[tuple[str, str, Moment], Hold] = {}
        self.calls: dict[str, list[str]] = defaultdict(list)
        """What reached the gate, by saga: the commands' names, in order."""

    def hold(self, saga_id: str, command: str, moment: Moment) -> Hold:
        """From now on, every such call waits at that moment until the hold is released."""
        return self._holds.setdefault((saga_id, command, moment), Hold())

    async def close(self) -> None:
        await self._http.aclose()

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{service}/commands/{command}", self._pass_on, methods=["POST"])])

    async def _pass_on(self, request: Request) -> Response:
        service, command = request.path_params["service"], request.path_params["command"]
        saga_id = request.headers[IDEMPOTENCY_KEY_HEADER].split(":")[0]
        body = await request.body()
        self.calls[saga_id].append(command)
        await self._wait(saga_id, command, Moment.BEFORE)
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        answer = await self._http.post(f"{self._services[service]}/commands/{command}", content=body, headers=headers)
        await self._wait(saga_id, command, Moment.AFTER)
        kept = {
            name: answer.headers[name] for name in ("content-type", INJECTED_FAULT_HEADER) if name in answer.headers
        }
        return Response(answer.content, answer.status_code, kept)

    async def _wait(self, saga_id: str, command: str, moment: Moment) -> None:
        if (hold := self._holds.get((saga_id, command, moment))) is not None:
            await hold.wait()
