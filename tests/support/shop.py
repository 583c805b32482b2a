"""The system's doors, as customers and operators use them: over HTTP alone, and Temporal's own client beside it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import uuid4

import httpx
from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.worker import Replayer

from contracts.sagas import HistoryPage, SagaStatus, SagaView, StepState
from run.state import Urls
from run.worker import WORKFLOWS, workflow_runner
from tests.support.eventually import eventually
from tests.support.orders import an_order
from tests.support.stock import shelf
from workflows.converter import DATA_CONVERTER
from workflows.names import CUSTOMER_ID, NAMESPACE

ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.FORCED, SagaStatus.TERMINATED})
AT_ONCE = 8
"""How many orders are looked at side by side: tests share their machine."""


class Running(Protocol):
    """A system that runs somehow."""

    @property
    def urls(self) -> Urls: ...


class Shop:
    """Everything that is ordered here is ordered by one customer of its own.

    Addresses are looked up at every request, because a system may be started again elsewhere.
    """

    def __init__(self, system: Running, http: httpx.AsyncClient) -> None:
        self.at = system
        self.customer = f"cust-{uuid4().hex}"
        self.repeats = 0
        """How often something had to be asked again."""
        self._http = http

    async def post_order(self, *, key: str | None = None, wait_s: int | None = None, **changes: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key or str(uuid4())}
        if wait_s is not None:
            headers["Prefer"] = f"wait={wait_s}"
        body = an_order(**{"customer_id": self.customer, **changes})
        return await self._http.post(f"{self.at.urls.api}/orders", json=body, headers=headers)

    async def order(
        self, *, key: str | None = None, wait_s: int | None = None, within_s: float = 60, **changes: Any
    ) -> SagaView:
        """As a careful customer does: no answer, or 503, and the same order is sent again with the same key."""
        key = key or str(uuid4())
        response = await self._insisting(lambda: self.post_order(key=key, wait_s=wait_s, **changes), within_s=within_s)
        assert response.status_code in (200, 202), response.text
        return SagaView.model_validate_json(response.content)

    async def give_back(self, order: SagaView, *, wait_s: int = 0, **asked: Any) -> SagaView:
        """The return of an order; no answer, or 503, and the same is sent again with the same key."""
        headers = {"Idempotency-Key": str(uuid4()), "Prefer": f"wait={wait_s}"}
        url = f"{self.at.urls.api}/orders/{order.order_id}/return"
        response = await self._insisting(lambda: self._http.post(url, json=asked, headers=headers))
        assert response.status_code in (200, 202), response.text
        return SagaView.model_validate_json(response.content)

    async def view(self, order: SagaView) -> SagaView:
        return SagaView.model_validate_json((await self._get(order, "")).content)

    async def story(self, order: SagaView) -> HistoryPage:
        return HistoryPage.model_validate_json((await self._get(order, "/history")).content)

    async def audit(self, order: SagaView) -> dict[str, Any]:
        return dict((await self._get(order, "/audit")).json())

    async def until(self, order: SagaView, *statuses: SagaStatus, within_s: float = 30) -> SagaView:
        """The order's view, once it has one of the statuses."""
        views = [order]

        async def has_status() -> bool:
            views.append(await self.view(order))
            assert views[-1].status in statuses, views[-1]
            return True

        await eventually(has_status, within_s=within_s, every_s=0.1)
        return views[-1]

    async def until_clean(self, order: SagaView, status: SagaStatus, *, within_s: float = 30) -> SagaView:
        """The order's view, once it has ended so. What the services have on record proves that it has."""
        view = await self.until(order, *ENDED, within_s=within_s)
        assert view.status is status, view
        await self.assert_clean(view)
        return view

    async def assert_clean(self, view: SagaView) -> None:
        """The audit has no complaints, and the saga's story ends as its view says."""
        audit, story = await self.audit(view), await self.story(view)
        assert (audit["status"], audit["clean"]) == (view.status, True), [
            verdict for verdict in audit["verdicts"] if not verdict["holds"]
        ]
        assert story.entries[-1].outcome == view.status, story

    async def all_ended(self, orders: list[SagaView], *, within_s: float = 60) -> list[SagaView]:
        """The orders' views, once all of them have ended. Each is clean."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def end(order: SagaView) -> SagaView:
            async with turn:
                view = await self.until(order, *ENDED, within_s=within_s)
                await self.assert_clean(view)
                return view

        return list(await asyncio.gather(*(end(order) for order in orders)))

    async def assert_replayable(self, orders: list[SagaView]) -> None:
        """Each saga's history, as the API hands it out, is what our workflow code would do again."""
        replayer = Replayer(workflows=WORKFLOWS, workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
        for order in orders:
            history = (await self._get(order, "/history?format=temporal")).text
            await replayer.replay_workflow(WorkflowHistory.from_json(order.saga_id, history))

    async def listed(self, **filters: Any) -> list[dict[str, Any]]:
        """This customer's orders, as the query side lists them, page by page."""
        query = {"customer": self.customer, "limit": 7, **filters}
        path, found = f"/orders?{httpx.QueryParams(query)}", []
        while path:
            response = await self._http.get(self.at.urls.api + path)
            assert response.status_code == httpx.codes.OK, response.text
            page = response.json()
            found += page["orders"]
            path = page["next"]
        return found

    async def notified(self) -> dict[str, list[str]]:
        """Of which events this customer was told, by order."""
        told: dict[str, list[str]] = {}
        path = f"/notifications?customer_id={self.customer}&limit=100"
        while path:
            response = await self._http.get(self.at.urls.notifications + path)
            assert response.status_code == httpx.codes.OK, response.text
            page = response.json()
            for notification in page["notifications"]:
                told.setdefault(notification["order_id"], []).append(notification["event_type"])
            path = page["next"]
        return told

    async def consumers_agree(self, orders: list[SagaView]) -> bool:
        """The query side lists just these orders, as they ended; and their customer was told so, once."""
        listed, told = await self.listed(), await self.notified()
        seen = {order["order_id"]: order for order in listed}
        assert len(listed) == len(seen), "an order is listed twice"
        # Nothing is to be heard of an order that was never placed, because its service was dead.
        placed = {str(order.order_id): order for order in orders if order.steps[0].state != StepState.NOTHING_TO_UNDO}
        assert seen.keys() == placed.keys(), (seen.keys() ^ placed.keys(), len(placed))
        for order_id, order in placed.items():
            assert_seen_as_it_ended(order, seen[order_id])
            ends = [event for event in told.get(order_id, []) if event in ("OrderConfirmed", "OrderRejected")]
            assert ends == ["OrderConfirmed" if order.status is SagaStatus.COMPLETED else "OrderRejected"], told
        return True

    async def cancel(self, order: SagaView) -> httpx.Response:
        return await self._insisting(lambda: self._http.post(f"{self.at.urls.api}{order.links.self}/cancel"))

    async def post_decision(self, order: SagaView, step: str, decision: str, **more: Any) -> httpx.Response:
        """More may be `without_faults`, or `key`."""
        headers = {"Idempotency-Key": more.pop("key", str(uuid4()))}
        body = {"step": step, "decision": decision, "reason": "a test says so", **more}
        url = f"{self.at.urls.api}{order.links.self}/decisions"
        return await self._http.post(url, json=body, headers=headers)

    async def decide(self, order: SagaView, step: str, decision: str, **more: Any) -> httpx.Response:
        more = {"key": str(uuid4()), **more}
        return await self._insisting(lambda: self.post_decision(order, step, decision, **more))

    async def receive_stock(self, quantity: int) -> str:
        """A new SKU, with that much stock."""
        sku = f"SKU-{uuid4().hex[:12]}"
        response = await self._http.post(
            f"{self.at.urls.shipping}/commands/receive-stock",
            json={"sku": sku, "quantity": quantity},
            headers={"Idempotency-Key": f"receive-{sku}"},
        )
        assert response.status_code == httpx.codes.OK, response.text
        return sku

    async def stock_of(self, sku: str) -> dict[str, int]:
        response = await self._http.get(f"{self.at.urls.shipping}/stock/{sku}")
        assert response.status_code == httpx.codes.OK, response.text
        return shelf(response.json())

    async def money_at_the_gateway(self, order: SagaView) -> list[tuple[str, int]]:
        """What became of each hold that the gateway has in its own books for the order, and its amount."""
        return [(hold["state"], hold["amount_minor"]) for hold in (await self._books(order))["holds"]]

    async def paid_back_by_the_gateway(self, order: SagaView) -> list[int]:
        """What it has paid back, by its own books."""
        return [refund["amount_minor"] for refund in (await self._books(order))["refunds"] if refund["amount_minor"]]

    async def _books(self, order: SagaView) -> dict[str, Any]:
        response = await self._http.get(f"{self.at.urls.payment}/gateway/books/{order.order_id}")
        assert response.status_code == httpx.codes.OK, response.text
        return dict(response.json())

    async def temporal(self) -> Client:
        return await Client.connect(self.at.urls.temporal, namespace=NAMESPACE, data_converter=DATA_CONVERTER)

    async def sagas(self, query: str = "") -> list[WorkflowExecution]:
        """This customer's sagas, as Temporal lists them; it may be a moment behind."""
        client = await self.temporal()
        narrowed = f"{CUSTOMER_ID.name} = '{self.customer}'" + (f" AND {query}" if query else "")
        return [execution async for execution in client.list_workflows(narrowed)]

    async def _get(self, order: SagaView, path: str) -> httpx.Response:
        response = await self._insisting(lambda: self._http.get(f"{self.at.urls.api}{order.links.self}{path}"))
        assert response.status_code == httpx.codes.OK, response.text
        return response

    async def _insisting(
        self, send: Callable[[], Awaitable[httpx.Response]], *, within_s: float = 60
    ) -> httpx.Response:
        """The first answer that is not 503, which asks for patience: the machine may be busy, or a part be dead."""
        answers: list[httpx.Response] = []

        async def is_answered() -> bool:
            try:
                answers.append(await send())
            except httpx.TransportError:
                self.repeats += 1
                return False
            if answers[-1].status_code == httpx.codes.SERVICE_UNAVAILABLE:
                self.repeats += 1
                return False
            return True

        await eventually(is_answered, within_s=within_s, every_s=0.1)
        return answers[-1]


def assert_seen_as_it_ended(order: SagaView, seen: dict[str, Any]) -> None:
    """What the query side tells of an order is what its saga has done."""
    if order.status is SagaStatus.COMPLETED:
        expected = ("confirmed", None, order.total_minor, "dispatched")
        assert (seen["status"], seen["cause"], seen["captured_minor"], seen["shipment"]) == expected, seen
    else:
        assert (seen["status"], seen["cause"], seen["captured_minor"]) == ("rejected", order.cause, 0), seen
        assert seen["shipment"] in ("none", "cancelled"), seen
    let_go = seen["voided_minor"] + seen["expired_minor"]
    assert seen["authorized_minor"] == seen["captured_minor"] + let_go, seen


@asynccontextmanager
async def open_shop(system: Running) -> AsyncIterator[Shop]:
    # As patient as a customer who waits for the end of an order, and never out of connections.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(timeout=90, limits=limits, trust_env=False) as http:
        yield Shop(system, http)
