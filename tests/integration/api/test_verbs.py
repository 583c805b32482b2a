"""The verbs that read the query side through the API, as a person at a terminal uses them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from api.app import create_app
from contracts.audits import Finding, Findings, Invariant, LedgerAudit
from contracts.events import PaymentCaptured
from contracts.sagas import Cause
from contracts.views import OrderStatus
from tests.integration.api.bench import ApiBench, settings_for
from tests.support.http_server import served
from tests.support.system import run_verb
from tests.support.views_on_paper import EPOCH, ViewsOnPaper, an_order_event, an_order_view

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


@pytest.fixture
def ledgers(api: ApiBench) -> Iterator[ViewsOnPaper]:
    """Of which an audit of everything has no complaints, as long as the test lasts."""
    api.paper.views.audit = LedgerAudit(logs=(), completed=2, compensated=1, open=0)
    api.paper.views.open_orders = []
    yield api.paper.views
    api.paper.views.audit = LedgerAudit(logs=(), completed=0, compensated=0, open=0)


async def test_audit_when_of_everything_and_all_holds_then_a_line_each(
    ledgers: ViewsOnPaper, terminal: Terminal
) -> None:
    shown = await terminal.run("audit")
    as_json = json.loads(await terminal.run("audit", "--json"))

    lines = shown.splitlines()
    assert sum(line.startswith("holds  ") for line in lines) == len(Invariant)
    assert lines[-1].startswith("holds; orders: 2 completed, 1 compensated, ")
    assert as_json["verdict"] == "holds"


async def test_audit_when_something_is_broken_then_named_with_its_events_and_exit_code_1(
    ledgers: ViewsOnPaper, terminal: Terminal
) -> None:
    finding = Finding(what="OrderConfirmed is there already", events=("order x:2", "order x:3"))
    found = Findings(invariant=Invariant.ONCE, count=1, examples=(finding,))
    ledgers.audit = ledgers.audit.model_copy(update={"findings": (found,), "waits_for": ("the log is behind",)})

    shown = await terminal.run("audit", exit_code=1)

    assert "BROKEN" in shown
    assert "OrderConfirmed is there already" in shown
    assert "order x:2, order x:3" in shown


async def test_audit_when_it_cannot_be_judged_yet_then_said_why_and_exit_code_2(
    ledgers: ViewsOnPaper, terminal: Terminal
) -> None:
    ledgers.audit = ledgers.audit.model_copy(update={"waits_for": ("the log is behind",)})

    shown = await terminal.run("audit", exit_code=2)

    assert "not judged yet: the log is behind" in shown
    assert "unknown; orders: " in shown
