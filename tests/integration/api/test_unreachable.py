"""Temporal out of reach: said plainly and soon, nothing half started, and well again by itself."""

import asyncio
import socket
import time
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from api.app import create_app
from api.idempotency import order_id_of
from tests.integration.api.bench import QUEUE, serving, settings_for
from tests.support.engine import TEMPORAL_CLI
from tests.support.eventually import eventually
from tests.support.order_world import OrderWorld, order_worker
from tests.support.orders import an_order
from tests.support.services_on_paper import ServicesOnPaper
from tests.support.views_on_paper import an_order_event, an_order_view
from workflows.converter import DATA_CONVERTER
from workflows.names import NAMESPACE, SEARCH_ATTRIBUTES, saga_id_of

pytestmark = pytest.mark.integration


async def start_engine(port: int, folder: Path) -> WorkflowEnvironment:
    """A dev server that finds again, in the folder, what one before it has left."""
    return await WorkflowEnvironment.start_local(
        namespace=NAMESPACE,
        data_converter=DATA_CONVERTER,
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_existing_path=TEMPORAL_CLI,
        dev_server_database_filename=str(folder / "temporal.db"),
        dev_server_log_level="error",
        port=port,
        ui=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_order_when_temporal_is_down_then_503_and_later_exactly_one_saga(tmp_path: Path) -> None:
    port, key, world = free_port(), f"down-{uuid4()}", OrderWorld()
    app = create_app(
        settings=settings_for(f"127.0.0.1:{port}", temporal_timeout_s=2), transport=ServicesOnPaper().transport()
    )
    async with serving(app) as http:
        assert (await http.get("/health/live")).status_code == 200
        assert (await http.get("/health/ready")).status_code == 503
        began = time.monotonic()
        first = await http.post("/orders", json=an_order(), headers={"Idempotency-Key": key})
        took_s = time.monotonic() - began
        nameless = await http.post("/orders", json=an_order())

        assert (first.status_code, first.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE")
        assert first.headers["Idempotency-Key"] == key
        assert int(first.headers["Retry-After"]) >= 1
        assert took_s < 5
        assert nameless.headers["Idempotency-Key"]

        async with await start_engine(port, tmp_path) as engine, order_worker(engine.client, world, QUEUE):
            headers = {"Idempotency-Key": key, "Prefer": "wait=20"}

            async def taken() -> bool:
                return (await http.post("/orders", json=an_order(), headers=headers)).status_code == 200

            await eventually(taken, within_s=30)
            await asyncio.gather(*(http.post("/orders", json=an_order(), headers=headers) for _ in range(5)))

            assert (await http.get("/health/ready")).status_code == 200
            assert len(world.calls[saga_id_of(order_id_of(key))]) == 6

        # Gone again: what was asked while it was there is not forgotten, only out of reach.
        for path in ("", "/history", "/audit", "/history?format=temporal"):
            response = await http.get(f"/orders/{order_id_of(key)}{path}")
            assert (response.status_code, response.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE")
        cancel = await http.post(f"/orders/{order_id_of(key)}/cancel")
        assert (cancel.status_code, cancel.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE")

        async with await start_engine(port, tmp_path):

            async def seen() -> bool:
                return (await http.get(f"/orders/{order_id_of(key)}")).status_code == 200

            await eventually(seen, within_s=30)


async def test_read_models_when_temporal_is_down_then_answered_all_the_same() -> None:
    paper, order = ServicesOnPaper(), an_order_view()
    paper.views.orders.append(order)
    paper.views.events[order.order_id] = [an_order_event(order)]
    settings = settings_for(f"127.0.0.1:{free_port()}", temporal_timeout_s=2)

    async with serving(create_app(settings=settings, transport=paper.transport())) as http:
        listed = await http.get("/orders")
        events = await http.get(f"/orders/{order.order_id}/events")
        of_another = await http.get(f"/orders/{uuid4()}/events")

    assert [one["order_id"] for one in listed.json()["orders"]] == [str(order.order_id)]
    assert events.status_code == 200
    assert (of_another.status_code, of_another.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE")


async def test_ready_when_the_namespace_is_not_set_up_then_says_what_is_missing() -> None:
    async with await WorkflowEnvironment.start_local(
        namespace=NAMESPACE, dev_server_existing_path=TEMPORAL_CLI, dev_server_log_level="error", ui=False
    ) as bare:
        paper = ServicesOnPaper().transport()
        async with serving(create_app(settings=settings_for(bare), transport=paper)) as http:
            without_attributes = await http.get("/health/ready")
            order = await http.post("/orders", json=an_order())
        async with serving(create_app(settings=settings_for(bare, namespace="nowhere"), transport=paper)) as http:
            without_namespace = await http.get("/health/ready")
            nowhere = await http.get(f"/orders/{uuid4()}")

    for response in (without_attributes, order, without_namespace, nowhere):
        assert (response.status_code, response.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE"), response.text
    assert "SagaStatus" in without_attributes.json()["detail"]
    assert "nowhere" in without_namespace.json()["detail"]
