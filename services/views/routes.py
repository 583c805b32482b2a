"""The query side over HTTP. Each answer is read at one moment, out of the one generation that serves."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from contracts.base import Sought
from contracts.views import MoneyView, OrderEvents, OrderPage, OrderQuery, OrderView, StockView
from services.kernel.database import Database
from services.views import ledger_queries, order_queries

At = Annotated[
    AwareDatetime | None, Query(description="As of this moment (with its time zone), replayed from the events.")
]


def view_routes(database: Database) -> APIRouter:
    router = APIRouter(tags=["views"])

    @router.get("/views/orders")
    async def list_orders(query: Annotated[OrderQuery, Query()]) -> OrderPage:
        """The orders, newest first. A page stays what it is while orders arrive."""
        return await database.read(lambda session: order_queries.list_orders(session, query))

    @router.get("/views/orders/{order_id}")
    async def read_order(order_id: UUID, at: At = None) -> OrderView:
        """One order as all services tell of it, now or as of a past moment."""
        return await database.read(lambda session: order_queries.read_order(session, order_id, at))

    @router.get("/views/orders/{order_id}/events")
    async def read_events(order_id: UUID) -> OrderEvents:
        """All services' events about an order, in causal order; none for an unknown one."""
        return await database.read(lambda session: order_queries.read_events(session, order_id))

    @router.get("/stock")
    async def list_stock() -> list[StockView]:
        """Every SKU that was ever received."""
        return await database.read(ledger_queries.list_stock)

    @router.get("/stock/{sku}")
    async def read_stock(sku: Sought, at: At = None) -> StockView:
        """The stock of one SKU, now or as of a past moment."""
        return await database.read(lambda session: ledger_queries.read_stock(session, sku, at))

    @router.get("/money")
    async def list_money() -> list[MoneyView]:
        """All payments, by currency."""
        return await database.read(ledger_queries.list_money)

    return router
