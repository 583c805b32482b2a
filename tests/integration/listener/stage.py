"""A shipping service, a Temporal behind a gate, and a listener between them, as its own process would run it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from contracts.orders import Carrier
from contracts.wire import StepOutcome
from run.listener import create_app
from services.shipping.app import create_app as create_shipping_app
from tests.integration.api.bench import settings_for
from tests.support.builders import SagaCommands
from tests.support.databases import Databases
from tests.support.eventually import eventually
from tests.support.http_server import served
from tests.support.service_client import SagaAt, Service, in_memory
from tests.support.stock import receive
from tests.support.tcp_gate import TcpGate
from workflows.converter import DATA_CONVERTER

SIGNALLED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED


class Stage:
    def __init__(self, client: Client, gate: TcpGate, shipping: Service, url: str, databases: Databases) -> None:
        self.client = client
        self.gate = gate
        """Before Temporal, as the listener sees it."""
        self.shipping = shipping
        self.shipping_url = url
        self.databases = databases

    def listener_app(self, *, rabbitmq_url: str | None = None, exchange: str = "unused") -> FastAPI:
        return create_app(
            settings=settings_for(f"127.0.0.1:{self.gate.port}", temporal_timeout_s=1),
            database_url=self.databases.url("listener"),
            feed_urls={"shipping": self.shipping_url},
            rabbitmq_url=rabbitmq_url,
            exchange=exchange,
        )

    @asynccontextmanager
    async def listening(self, **wiring: Any) -> AsyncIterator[Service]:
        async with in_memory(self.listener_app(**wiring)) as listener:
            yield listener

    async def waiting_saga(self) -> SagaCommands:
        """A saga that Temporal knows, and that no worker runs: what it is told stays in its history."""
        saga = SagaCommands()
        await self.client.start_workflow("Waiting", id=saga.saga_id, task_queue="nobody's")
        return saga

    async def book(self, saga: SagaCommands, *, country: str = "DE", carrier: Carrier = Carrier.BY_EVENT) -> None:
        sku = await receive(self.shipping, 5)
        expected = "accepted" if carrier is Carrier.BY_EVENT else "done"
        command = saga.book_shipment((sku, 1), country=country, carrier=carrier)
        assert await SagaAt(self.shipping, saga).outcome(command) == expected

    async def carrier_answered(self, saga: SagaCommands) -> None:
        async def has_answered() -> bool:
            return len(await self.shipping.event_types(saga.order_id)) == 2

        await eventually(has_answered)

    async def told(self, saga: SagaCommands) -> list[StepOutcome]:
        """What the saga was told so far."""
        history = await self.client.get_workflow_handle(saga.saga_id).fetch_history()
        signals = [e.workflow_execution_signaled_event_attributes for e in history.events if e.event_type == SIGNALLED]
        assert {signal.signal_name for signal in signals} <= {"step_outcome"}
        payloads = [signal.input.payloads[0] for signal in signals]
        return [DATA_CONVERTER.payload_converter.from_payload(payload, StepOutcome) for payload in payloads]

    async def is_told(self, saga: SagaCommands, *, times: int = 1) -> list[StepOutcome]:
        found: list[StepOutcome] = []

        async def is_so() -> bool:
            found[:] = await self.told(saga)
            assert len(found) == times, found
            return True

        await eventually(is_so, within_s=20)
        return found


async def progress(listener: Service) -> dict[str, Any]:
    found: dict[str, Any] = (await listener.http.get("/health/ready")).json()
    return found


async def caught_up(listener: Service) -> None:
    async def is_so() -> bool:
        found = await progress(listener)
        assert found["status"] == "ready", found
        return True

    await eventually(is_so, within_s=20)


@asynccontextmanager
async def open_stage(engine: WorkflowEnvironment, databases: Databases) -> AsyncIterator[Stage]:
    shipping = create_shipping_app(
        database_url=databases.url("shipping"), stock_file=None, fault_injection=False, carrier_delay_s=0.05
    )
    host, port = engine.client.service_client.config.target_host.split(":")
    async with (
        served(shipping) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
        TcpGate.before(host, int(port)) as gate,
    ):
        yield Stage(engine.client, gate, Service(http), url, databases)
