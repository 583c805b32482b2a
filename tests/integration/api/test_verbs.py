"""The verbs that read the query side through the API, as a person at a terminal uses them."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from api.app import create_app
from contracts.events import PaymentCaptured
from contracts.sagas import Cause
from contracts.views import OrderStatus
from tests.integration.api.bench import ApiBench, settings_for
from tests.support.http_server import served
from tests.support.system import run_verb
from tests.support.views_on_paper import EPOCH, an_order_event, an_order_view

pytestmark = pytest.mark.integration


class Terminal:
    def __init__(self, api_url: str, folder: Path) -> None:
        self._settings = {"API_URL": api_url}
        self._folder = folder

    async def run(self, *verb: str, exit_code: int = 0) -> str:
        """What the verb prints, on either stream."""
        ended = await asyncio.to_thread(run_verb, *verb, data_dir=self._folder, settings=self._settings)
        assert ended.returncode == exit_code, ended.stderr
        return ended.stdout + ended.stderr


@pytest.fixture
async def terminal(api: ApiBench, tmp_path: Path) -> AsyncIterator[Terminal]:
    app = create_app(settings=settings_for(api.environment), transport=api.paper.transport())
    async with served(app) as url:
        yield Terminal(url, tmp_path)


async def test_orders_when_filtered_then_those_newest_first(api: ApiBench, terminal: Terminal) -> None:
    customer = f"cust-{uuid4().hex}"
    pending, refused, older = (
        an_order_view(customer_id=customer, placed_at=EPOCH - timedelta(seconds=number), **changes)
        for number, changes in enumerate([{}, {"status": OrderStatus.REJECTED, "cause": Cause.REFUSED}, {}])
    )
    api.paper.views.orders += [older, pending, refused]

    listed = await terminal.run("orders", "--customer", customer)
    rejected = await terminal.run("orders", "--customer", customer, "--status", "rejected", "--cause", "refused")
    last = await terminal.run("orders", "--customer", customer, "--to", "2025-12-31T23:59:59Z", "--json")
    first = await terminal.run("orders", "--customer", customer, "--from", "2025-12-31T00:00:00Z", "--limit", "1")

    in_order = [str(order.order_id) for order in (pending, refused, older)]
    assert [row.split()[2] for row in listed.splitlines()[1:]] == in_order
    assert rejected.splitlines()[1].split()[2:] == [
        in_order[1],
        "rejected",
        "refused",
        customer,
        "25.00",
        "EUR",
        "none",
    ]
    assert len(rejected.splitlines()) == 2
    assert [order["order_id"] for order in json.loads(last)["orders"]] == in_order[2:]
    assert first.splitlines()[1].split()[2] == in_order[0]
    assert first.splitlines()[2].startswith("there are more")


async def test_orders_when_badly_asked_then_explained(terminal: Terminal) -> None:
    said = await terminal.run("orders", "--from", "yesterday", exit_code=1)

    assert said.startswith("amends: MALFORMED")
    assert "query.from: " in said


async def test_events_when_there_are_some_then_a_line_each(api: ApiBench, terminal: Terminal) -> None:
    order = an_order_view()
    api.paper.views.events[order.order_id] = [
        an_order_event(order),
        an_order_event(order, PaymentCaptured(authorization="auth-1"), position=2),
    ]

    shown = await terminal.run("events", str(order.order_id))
    as_json = json.loads(await terminal.run("events", str(order.order_id), "--json"))

    rows = [row.split() for row in shown.splitlines()[1:]]
    assert [row[1:3] for row in rows] == [["order", "OrderPlaced"], ["payment", "PaymentCaptured"]]
    assert rows[1][3:] == ["authorization", "auth-1"]
    assert [event["type"] for event in as_json["events"]] == ["OrderPlaced", "PaymentCaptured"]


async def test_events_when_the_order_is_unknown_then_said(terminal: Terminal) -> None:
    assert "ORDER_NOT_FOUND" in await terminal.run("events", str(uuid4()), exit_code=1)
