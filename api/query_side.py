"""How the API asks the query side: read models of orders, stock and money, a moment behind the services."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import TypeAdapter

from api.config import ApiSettings
from api.reading import Reader, open_http
from contracts.audits import BookEntry, BookTotal, LedgerAudit, OpenOrders, OrderAtRest
from contracts.views import MoneyView, OrderEvents, OrderPage, OrderQuery, OrderView, StockView

VIEWS = "views"
T = TypeVar("T")

_PAGE, _ORDER, _EVENTS = TypeAdapter(OrderPage), TypeAdapter(OrderView), TypeAdapter(OrderEvents)
_ALL_STOCK, _STOCK = TypeAdapter(list[StockView]), TypeAdapter(StockView)
_MONEY = TypeAdapter(list[MoneyView])
_AUDIT, _OPEN, _AT_REST = TypeAdapter(LedgerAudit), TypeAdapter(OpenOrders), TypeAdapter(OrderAtRest)
_TOTALS, _ENTRIES = TypeAdapter(list[BookTotal]), TypeAdapter(list[BookEntry])


class UnknownCursor(Exception):
    """What was given as `after` is no page's `next`."""


class Views:
    """Asks the query side. Safe to share between requests; close it with `close()`.

    Every question ends in `ServiceUnreachable` where it gets no readable answer in time.
    """

    def __init__(self, settings: ApiSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = open_http(transport)
        self._reader = Reader(self._http, VIEWS, settings.views_url, timeout_s=settings.service_timeout_s)
        self._audit_timeout_s = settings.audit_timeout_s

    async def close(self) -> None:
        await self._http.aclose()

    async def orders(self, query: OrderQuery) -> OrderPage:
        """A page of the orders that are asked for, newest first.

        Raises:
            UnknownCursor: `after` is no page's `next`.
        """
        params = query.model_dump(mode="json", by_alias=True, exclude_none=True)
        response = await self._reader.ask("/views/orders", {name: str(value) for name, value in params.items()})
        # The rest of a query keeps to the contract by its type; cursors only the query side can judge.
        if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and query.after is not None:
            raise UnknownCursor
        return self._reader.understand(response, _PAGE)

    async def order(self, order_id: UUID, at: datetime | None = None) -> OrderView | None:
        """The order, or None where there is none (or was none, then)."""
        return await self._one(f"/views/orders/{order_id}", _ORDER, at)

    async def events(self, order_id: UUID) -> OrderEvents:
        """The order's public events; none for an order that the query side has not heard of."""
        return await self._all(f"/views/orders/{order_id}/events", _EVENTS)

    async def all_stock(self) -> list[StockView]:
        return await self._all("/stock", _ALL_STOCK)

    async def stock(self, sku: str, at: datetime | None = None) -> StockView | None:
        """The SKU's stock, or None where it was never received (or not yet, then)."""
        return await self._one(f"/stock/{quote(sku, safe='')}", _STOCK, at)

    async def money(self) -> list[MoneyView]:
        return await self._all("/money", _MONEY)

    async def audit(self) -> LedgerAudit:
        """What the ledgers say of everything; it waits a moment for what is on its way to them."""
        return await self._audit_part("/views/audit", _AUDIT)

    async def open_orders(self, after: str | None, limit: int) -> OpenOrders:
        """A page of the orders that are on their way, or have something amiss; the ones left alone longest first."""
        params = {"limit": str(limit), **({"after": after} if after else {})}
        return await self._audit_part("/views/audit/open", _OPEN, params)

    async def order_at_rest(self, order_id: UUID) -> OrderAtRest | None:
        """What would be amiss with the order if nothing more came; None where nothing was heard of it."""
        path = f"/views/audit/orders/{order_id}"
        return await self._reader.read(path, _AT_REST, timeout_s=self._audit_timeout_s)

    async def book_totals(self, prefix: str) -> list[BookTotal]:
        """The sums of our own books over orders whose ids begin so, by the ids' next characters."""
        return await self._audit_part("/views/audit/totals", _TOTALS, {"prefix": prefix})

    async def book_entries(self, prefix: str) -> list[BookEntry]:
        """The orders whose ids begin so, as our own books have them."""
        return await self._audit_part("/views/audit/entries", _ENTRIES, {"prefix": prefix})

    async def _audit_part(self, path: str, answer: TypeAdapter[T], params: Mapping[str, str] | None = None) -> T:
        return self._reader.understand(await self._reader.ask(path, params, timeout_s=self._audit_timeout_s), answer)

    async def _one(self, path: str, answer: TypeAdapter[T], at: datetime | None) -> T | None:
        return await self._reader.read(path, answer, {"at": at.isoformat()} if at else None)

    async def _all(self, path: str, answer: TypeAdapter[T]) -> T:
        # Not found is no answer to these: they are always there.
        return self._reader.understand(await self._reader.ask(path), answer)
