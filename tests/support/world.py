"""The order saga's world for tests: real Temporal, real services over HTTP, the API, and workers that can be killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.worker import Replayer

from api.app import create_app
from api.config import ApiSettings
from contracts.orders import Order
from contracts.policy import Policy
from run.worker import workflow_runner
from services.order.app import create_app as order_app
from services.payment.app import create_app as payment_app
from services.shipping.app import create_app as shipping_app
from services.views.app import create_app as views_app
from tests.support.databases import sqlite_database
from tests.support.engine import dev_server
from tests.support.eventually import eventually
from tests.support.gate import Gate, Hold, Moment
from tests.support.http_server import served
from tests.support.worker_process import WorkerProcess
from workflows.converter import DATA_CONVERTER
from workflows.names import NAMESPACE, saga_id_of
from workflows.order_commands import OrderSagaInput
from workflows.order_saga import ORDER_SAGA_DEFINITION, OrderSaga
from workflows.policies import TASK_TIMEOUT
from workflows.saga.orchestrator import SagaResult

QUICK = Policy(
    fast_timeout_s=2.0,
    attempt_timeout_s=2.0,
    retry_initial_s=0.02,
    retry_max_s=0.1,
    action_attempts=3,
    stuck_after=3,
)
COMMANDS = [step.action.name.replace("_", "-") for step in ORDER_SAGA_DEFINITION.steps]
"""The commands of a healthy order saga, in order."""
STOCK = 1_000_000


@dataclass
class World:
    client: Client
    gate: Gate
    api: httpx.AsyncClient
    settings: dict[str, Any]
    """What a worker in this world is started with, except its task queue."""
    workers: list[WorkerProcess] = field(default_factory=list)

    def worker(
        self, task_queue: str, variant: str | None = None, env: dict[str, str] | None = None, **settings: Any
    ) -> WorkerProcess:
        worker = WorkerProcess({**self.settings, "task_queue": task_queue, **settings}, variant, env)
        self.workers.append(worker)
        return worker

    async def working(self, task_queue: str) -> None:
        """Returns when a worker takes sagas from the queue. A deadline should not pass while Python starts."""
        request = DescribeTaskQueueRequest(
            namespace=NAMESPACE,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )

        async def polled() -> bool:
            return bool((await self.client.workflow_service.describe_task_queue(request)).pollers)

        await eventually(polled, within_s=60)

    async def start(
        self, task_queue: str, *, deadline_s: float = 120, task_timeout: timedelta = TASK_TIMEOUT, **changes: Any
    ) -> "Placed":
        """Starts an order saga whose worker listens to that queue."""
        order = Order.model_validate(an_order() | {"deadline_s": deadline_s} | changes)
        order_id = uuid4()
        saga = OrderSagaInput(order_id=order_id, order=order, policy=self.policy_of(order))
        handle = await self.client.start_workflow(
            OrderSaga.run, saga, id=saga_id_of(order_id), task_queue=task_queue, task_timeout=task_timeout
        )
        return Placed(self, str(order_id), handle)

    def policy_of(self, order: Order) -> Policy:
        return QUICK if order.deadline_s is None else QUICK.model_copy(update={"deadline_s": order.deadline_s})


@dataclass
class Placed:
    """One order of a test."""

    world: World
    order_id: str
    handle: WorkflowHandle[OrderSaga, SagaResult]

    def hold(self, command: str, moment: Moment) -> Hold:
        return self.world.gate.hold(self.handle.id, command, moment)

    @property
    def calls(self) -> list[str]:
        return self.world.gate.calls[self.handle.id]

    async def ended(self) -> None:
        """Returns when the saga has ended, whatever the end."""
        try:
            await asyncio.wait_for(self.handle.result(), timeout=60)
        except WorkflowFailureError:
            return
        except TimeoutError:
            raise AssertionError(f"{self.handle.id} has not ended after 60 s; calls: {self.calls}") from None

    async def view(self) -> dict[str, Any]:
        return await self._get("")

    async def audit(self) -> dict[str, Any]:
        return await self._get("/audit")

    async def check_clean(self, expected: str) -> None:
        """The saga ended with that status, and the services' streams prove what the status says."""
        await self.ended()
        view, audit = await self.view(), await self.audit()
        assert view["status"] == expected, f"{view}; calls: {self.calls}"
        assert audit["clean"], f"{audit}; calls: {self.calls}"
        history = await self.handle.fetch_history()
        replayer = Replayer(workflows=[OrderSaga], workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
        await replayer.replay_workflow(history)

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self.world.api.get(f"/orders/{self.order_id}{path}")
        assert answer.status_code == httpx.codes.OK, answer.text
        return dict(answer.json())


def an_order() -> dict[str, Any]:
    return {
        "customer_id": "cust-1",
        "currency": "EUR",
        "payment_token": "tok_visa",
        "lines": [{"sku": "BOOK-1", "quantity": 2, "unit_price_minor": 1250}],
        "shipping_address": {
            "name": "Ada L.",
            "line1": "1 Main St",
            "city": "Berlin",
            "postal_code": "10115",
            "country": "DE",
        },
    }


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """Everything but the workers, which tests start and end themselves."""
    stock_file = folder / "stock.toml"
    stock_file.write_text(f"[stock]\nBOOK-1 = {STOCK}\n")

    def database(name: str) -> str:
        return sqlite_database(folder, name)

    async with AsyncExitStack() as stack:
        environment = await stack.enter_async_context(dev_server())
        apps = {
            "order": order_app(database_url=database("order"), fault_injection=True),
            "payment": payment_app(
                database_url=database("payment"), gateway_database_url=database("gateway"), fault_injection=True
            ),
            "shipping": shipping_app(database_url=database("shipping"), stock_file=stock_file, fault_injection=True),
        }
        urls = {name: await stack.enter_async_context(served(app)) for name, app in apps.items()}
        views = views_app(database_url=database("views"), feed_urls=urls)
        views_url = await stack.enter_async_context(served(views))
        gate = Gate(urls)
        gate_url = await stack.enter_async_context(served(gate.app()))
        address = environment.client.service_client.config.target_host
        api = create_app(
            settings=ApiSettings(
                temporal_address=address,
                temporal_ui_url="http://127.0.0.1:8233",
                fault_injection=True,
                policy=QUICK,
                views_url=views_url,
                **{f"{name}_url": url for name, url in urls.items()},
            )
        )
        api_url = await stack.enter_async_context(served(api))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=api_url, timeout=30, trust_env=False))
        settings = {"temporal_address": address, "namespace": NAMESPACE} | {
            f"{name}_url": f"{gate_url}/{name}" for name in urls
        }
        world = World(environment.client, gate, client, settings)
        try:
            yield world
        finally:
            for worker in world.workers:
                worker.kill()
            await gate.close()
