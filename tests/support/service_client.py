"""Talks to a service as a saga does, for tests: in memory or over a real connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from contracts.base import Contract
from contracts.commands import command_path
from contracts.faults import FAULT_PLAN, FAULTS_HEADER, Fault
from contracts.wire import IDEMPOTENCY_KEY_HEADER
from tests.support.builders import SagaCommands


class Service:
    """One service, as its callers see it."""

    def __init__(self, http: httpx.AsyncClient, app: FastAPI | None = None) -> None:
        self.http = http
        self._app = app

    @property
    def app(self) -> FastAPI:
        """Of a service in memory."""
        assert self._app is not None
        return self._app

    async def send(self, command: Contract, *, key: str, faults: tuple[Fault, ...] = ()) -> httpx.Response:
        headers = {IDEMPOTENCY_KEY_HEADER: key}
        if faults:
            headers[FAULTS_HEADER] = FAULT_PLAN.dump_json(faults, exclude_none=True).decode()
        return await self.http.post(
            command_path(type(command)), content=command.model_dump_json(), headers=headers, timeout=10
        )

    async def stream(self, stream: object, version: int | None = None) -> dict[str, Any]:
        response = await self.http.get(f"/streams/{stream}", params={"version": version} if version else {})
        assert response.status_code == httpx.codes.OK, response.text
        found: dict[str, Any] = response.json()
        return found

    async def event_types(self, stream: object) -> list[str]:
        """Empty as well where there is no such stream."""
        response = await self.http.get(f"/streams/{stream}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return []
        return [event["type"] for event in response.json()["events"]]


class SagaAt:
    """One saga's commands, sent to one service."""

    def __init__(self, service: Service, commands: SagaCommands | None = None) -> None:
        self.service = service
        self.commands = commands or SagaCommands()

    @property
    def order_id(self) -> str:
        return str(self.commands.order_id)

    async def send(self, command: Contract, *faults: Fault) -> httpx.Response:
        return await self.service.send(command, key=self.commands.key_of(command), faults=faults)

    async def outcome(self, command: Contract, *faults: Fault) -> str:
        """The reply's outcome, or the problem's code."""
        response = await self.send(command, *faults)
        body = response.json()
        return str(body["outcome"] if response.status_code == httpx.codes.OK else body["code"])

    async def events(self) -> list[str]:
        return await self.service.event_types(self.order_id)


@asynccontextmanager
async def in_memory(app: FastAPI) -> AsyncIterator[Service]:
    """The app started, and requests handed to it directly."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as http,
    ):
        yield Service(http, app)
