"""Three real services and the views that follow them, all over HTTP; and their databases, to look into."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from contracts.base import Contract
from contracts.sagas import Cause
from contracts.views import MoneyView, OrderEvents, OrderPage, OrderView, StockView
from messaging.feed import Feed
from messaging.port import Cursor
from services.kernel import event_log
from services.kernel.database import Database
from services.kernel.event_log import Origin
from services.order.app import create_app as create_order_app
from services.order.events import OrderPlaced
from services.order.handlers import ORDER
from services.payment.app import create_app as create_payment_app
from services.shipping.app import create_app as create_shipping_app
from services.views.app import SERVICES
from services.views.app import create_app as create_views_app
from services.views.projection import apply
from services.views.tables import VIEW_TABLES
from tests.support.builders import SagaCommands
from tests.support.databases import Databases
from tests.support.eventually import eventually
from tests.support.http_server import served
from tests.support.sabotage import sabotage_of
from tests.support.service_client import Service

Rows = dict[str, list[tuple[Any, ...]]]


class Views:
    """The query side, as its callers see it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, **params: Any) -> Any:
        response = await self.http.get(path, params=params)
        assert response.is_success, response.text
        return response.json()

    async def order(self, order_id: object, **params: Any) -> OrderView:
        return OrderView.model_validate(await self.get(f"/views/orders/{order_id}", **params))

    async def orders(self, **params: Any) -> OrderPage:
        return OrderPage.model_validate(await self.get("/views/orders", **params))

    async def events(self, order_id: object) -> OrderEvents:
        return OrderEvents.model_validate(await self.get(f"/views/orders/{order_id}/events"))

    async def stock(self, sku: str, **params: Any) -> StockView:
        return StockView.model_validate(await self.get(f"/stock/{sku}", **params))

    async def money(self) -> dict[str, MoneyView]:
        return {money["currency"]: MoneyView.model_validate(money) for money in await self.get("/money")}

    async def caught_up(self, *, generation: int | None = None) -> None:
        """Returns once all that is in the logs was taken."""

        async def is_ready() -> bool:
            health = await self.get("/health/ready")
            assert health["status"] == "ready", health
            assert generation in (None, health["generation"]), health
            return True

        await eventually(is_ready, within_s=60)


class Site:
    def __init__(self, databases: Databases, order: Service, payment: Service, shipping: Service) -> None:
        self._databases = databases
        self.order, self.payment, self.shipping = order, payment, shipping
        self.feed_urls = {
            service: str(at.http.base_url) for service, at in zip(SERVICES, (order, payment, shipping), strict=True)
        }
        self.views_url = databases.url("views")
        self.sabotage = sabotage_of(self.views_url)

    @asynccontextmanager
    async def views(self) -> AsyncIterator[Views]:
        """The views, which go on where they were stopped."""
        async with _client_of(create_views_app(database_url=self.views_url, feed_urls=self.feed_urls)) as http:
            yield Views(http)

    async def send(self, saga: SagaCommands, service: Service, *commands: Contract) -> None:
        for command in commands:
            response = await service.send(command, key=saga.key_of(command))
            assert response.is_success, response.text

    async def place(self, *, customer: str = "cust-1") -> SagaCommands:
        saga = SagaCommands()
        await self.send(saga, self.order, saga.place_order().model_copy(update={"customer_id": customer}))
        return saga

    async def book(self, saga: SagaCommands, sku: str) -> None:
        await self.send(saga, self.payment, saga.authorize_payment())
        await self.send(saga, self.shipping, saga.book_shipment((sku, 2)))

    async def fulfil(self, sku: str, *, customer: str = "cust-1") -> SagaCommands:
        saga = await self.place(customer=customer)
        await self.book(saga, sku)
        await self.send(saga, self.payment, saga.capture_payment())
        await self.send(saga, self.order, saga.confirm_order())
        await self.send(saga, self.shipping, saga.dispatch_shipment())
        return saga

    async def compensate(self, sku: str, *, customer: str = "cust-1", cause: Cause = Cause.FAILED) -> SagaCommands:
        saga = await self.place(customer=customer)
        await self.book(saga, sku)
        await self.send(saga, self.shipping, saga.cancel_shipment())
        await self.send(saga, self.payment, saga.release_payment())
        await self.send(saga, self.order, saga.reject_order(cause))
        return saga

    def database_of(self, service: str) -> Database:
        """To be closed."""
        return Database(self._databases.url(service))

    def place_many(self, count: int) -> None:
        """As if that many orders had been placed, in one transaction."""
        with closing(self.database_of("order")) as database, database.writing() as session:
            for _ in range(count):
                saga = SagaCommands()
                command = saga.place_order()
                placed = OrderPlaced(saga.saga_id, f"cust-{uuid4()}", "EUR", command.lines, 2500)
                origin = Origin(saga.key_of(command), "PlaceOrder", saga.saga_id)
                event_log.append(session, ORDER, str(saga.order_id), [placed], expected_version=0, origin=origin)

    def look(self, query: str) -> list[tuple[Any, ...]]:
        """Asks the views' database behind their back."""
        with closing(self.database_of("views")) as database:
            return _rows(database, query)

    def read_model(self, generation: int) -> Rows:
        """Every row of a generation, without its number."""
        return {
            table: sorted(row[1:] for row in self.look(f"SELECT * FROM {table} WHERE generation = {generation}"))
            for table in _names_of_tables()
        }

    async def read_model_of_logs(self) -> Rows:
        """What the services' logs, taken once each and one after the other, make of an empty database."""
        url = self._databases.url(f"reference-{uuid4()}", VIEW_TABLES)
        with closing(Database(url)) as database:
            for service, feed_url in self.feed_urls.items():
                feed = Feed(service, feed_url)
                cursor, head = Cursor(), 1
                while cursor.position < head:
                    page = await feed.read(cursor, limit=1000)
                    cursor, head = Cursor(page.log_id, page.position), page.head or 0
                    with database.writing() as session:
                        for event in page.events:
                            apply(session, event, 1)
                await feed.close()
            return {
                table: sorted(row[1:] for row in _rows(database, f"SELECT * FROM {table}"))
                for table in _names_of_tables()
            }


@asynccontextmanager
async def open_site(databases: Databases) -> AsyncIterator[Site]:
    apps: list[Callable[[], FastAPI]] = [
        lambda: create_order_app(database_url=databases.url("order"), fault_injection=False),
        lambda: create_payment_app(
            database_url=databases.url("payment"),
            gateway_database_url=databases.url("gateway"),
            fault_injection=False,
        ),
        lambda: create_shipping_app(database_url=databases.url("shipping"), stock_file=None, fault_injection=False),
    ]
    stacks = [AsyncExitStack() for _ in apps]
    try:
        order, payment, shipping = [
            Service(await stack.enter_async_context(_client_of(app()))) for stack, app in zip(stacks, apps, strict=True)
        ]
        yield Site(databases, order, payment, shipping)
    finally:
        # Each takes a second, as long as a request for its feed waits.
        await asyncio.gather(*(stack.aclose() for stack in stacks))


@asynccontextmanager
async def _client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with served(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        yield http


def _rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.reading() as session:
        return [tuple(row) for row in session.connection().execute(text(query))]


def _names_of_tables() -> list[str]:
    return [str(table.__tablename__) for table in VIEW_TABLES]


def moment_after(order: OrderView, event: str) -> datetime:
    """When that event of the order happened."""
    return next(transition.at for transition in order.transitions if transition.event == event)
