"""Where API tests send their requests: the app in this process, on a real dev server, in a scripted world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from api.app import create_app
from api.config import ApiSettings
from api.idempotency import order_id_of
from contracts.policy import Policy
from contracts.sagas import SagaStatus, SagaView
from tests.support.eventually import eventually
from tests.support.order_world import Move, OrderWorld, order_worker
from tests.support.orders import an_order
from tests.support.services_on_paper import ServicesOnPaper
from workflows.names import saga_id_of

QUEUE = "api-tests"
QUICK = Policy(deadline_s=30, fast_timeout_s=0.5, attempt_timeout_s=2, retry_initial_s=0.01, retry_max_s=0.05)
UI = "http://ui.test"


def settings_for(environment: WorkflowEnvironment | str, **changes: Any) -> ApiSettings:
    address = environment if isinstance(environment, str) else environment.client.service_client.config.target_host
    return ApiSettings.model_validate(
        {
            "temporal_address": address,
            "task_queue": QUEUE,
            "temporal_ui_url": UI,
            "order_url": "http://order.test",
            "payment_url": "http://payment.test",
            "shipping_url": "http://shipping.test",
            "views_url": "http://views.test",
            "policy": QUICK,
            "fault_injection": True,
            **changes,
        }
    )


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, which lives as long as the context."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test", timeout=30) as http:
            yield http


@dataclass
class ApiBench:
    environment: WorkflowEnvironment
    app: FastAPI
    http: httpx.AsyncClient
    world: OrderWorld
    paper: ServicesOnPaper

    @property
    def client(self) -> Client:
        return self.environment.client

    def app_with(self, settings: ApiSettings) -> FastAPI:
        """Another app on the same paper."""
        return create_app(settings=settings, transport=self.paper.transport())

    async def order(self, *, key: str | None = None, wait: int | None = None, **changes: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key or f"key-{uuid4()}"}
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        return await self.http.post("/orders", json=an_order(**changes), headers=headers)

    def script(self, key: str, activity: str, *moves: Move) -> None:
        """The moves of an activity's first attempts, in the saga that the key will start."""
        self.world.scripts[saga_id_of(order_id_of(key)), activity] = list(moves)

    def always(self, key: str, activity: str, move: Move) -> None:
        self.world.always[saga_id_of(order_id_of(key)), activity] = move

    async def view(self, order_id: object) -> SagaView:
        response = await self.http.get(f"/orders/{order_id}")
        assert response.status_code == 200, response.text
        return SagaView.model_validate_json(response.content)

    async def is_durable(self, order_id: object, step: str) -> bool:
        """Whether the step goes on as an activity of its own, so that the saga takes notice of anything else."""
        return any(one.name == step and one.path == "durable" for one in (await self.view(order_id)).steps)

    async def until(self, order_id: object, status: SagaStatus) -> SagaView:
        async def reached() -> bool:
            return (await self.view(order_id)).status is status

        await eventually(reached, within_s=15)
        return await self.view(order_id)


@asynccontextmanager
async def open_api_bench(environment: WorkflowEnvironment) -> AsyncIterator[ApiBench]:
    world, paper = OrderWorld(), ServicesOnPaper()
    app = create_app(settings=settings_for(environment), transport=paper.transport())
    async with order_worker(environment.client, world, QUEUE), serving(app) as http:
        yield ApiBench(environment, app, http, world, paper)
