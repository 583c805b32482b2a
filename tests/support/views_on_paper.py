"""A stand-in for the query side: it keeps to its contract, and knows what tests write down."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import httpx
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from contracts.audits import BookEntry, BookTotal, LedgerAudit, OpenOrders, OrderAtRest
from contracts.events import PUBLIC_EVENTS, EventData, OrderPlaced, PublicEvent
from contracts.views import MoneyView, OrderEvents, OrderPage, OrderQuery, OrderStatus, OrderView, StockView
from contracts.wire import PROBLEM_MEDIA_TYPE, Problem

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


class BadParameters(Exception):
    """What is wrong with which."""


def an_order_view(**changes: Any) -> OrderView:
    order_id = uuid4()
    return OrderView.model_validate(
        {
            "order_id": order_id,
            "saga_id": f"order-{order_id}",
            "customer_id": "cust-1",
            "status": OrderStatus.PENDING,
            "currency": "EUR",
            "total_minor": 2500,
            "placed_at": EPOCH,
            "transitions": [{"event": "OrderPlaced", "at": EPOCH}],
            **changes,
        }
    )


def an_order_event(order: OrderView, data: EventData | None = None, *, position: int = 1) -> PublicEvent:
    """What the service that announces such events has announced; by default that the order was placed."""
    placed = OrderPlaced(customer_id=order.customer_id, currency=order.currency, total_minor=2500, lines=())
    told = data or placed
    service = next(service for service, types in PUBLIC_EVENTS.items() if type(told) in types)
    return PublicEvent.of(
        service,
        told,
        subject=str(order.order_id),
        time=order.placed_at + timedelta(seconds=position),
        causationid=f"{order.saga_id}:a_step/ACommand",
        sagaid=None,
        stream=str(order.order_id),
        streamversion=position,
        position=position,
        logid=f"log-{service}",
    )


class ViewsOnPaper:
    """Answers requests with what it was told of, by the contract in contracts/views.py."""

    def __init__(self) -> None:
        self.orders: list[OrderView] = []
        self.events: dict[UUID, list[PublicEvent]] = defaultdict(list)
        self.stock: dict[str, list[tuple[datetime, StockView]]] = {}
        """By SKU, with the moments since which it was so."""
        self.money: list[MoneyView] = []
        self.audit = LedgerAudit(logs=(), completed=0, compensated=0, open=0)
        self.open_orders: list[OrderAtRest] = []
        self.at_rest: dict[UUID, OrderAtRest] = {}
        """What has become of open orders by the time that they are looked at again; by default, nothing."""
        self.book: list[BookEntry] = []
        self.instead: httpx.Response | None = None
        """What it answers to everything, while it is set."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.instead is not None:
            return self.instead
        path = [unquote(part) for part in request.url.raw_path.decode().partition("?")[0].split("/")[1:]]
        params = dict(request.url.params)
        try:
            found = self._found(path, params)
        except BadParameters as bad:
            errors = [{"loc": ["query", name], "msg": message, "type": "value_error"} for name, message in bad.args]
            return _problem(422, "MALFORMED_REQUEST", "a parameter is not as the contract says", errors)
        if found is None:
            code = "SKU_NOT_FOUND" if path[0] == "stock" else "ORDER_NOT_FOUND"
            return _problem(404, code, "there is no such thing here")
        if isinstance(found, BaseModel):
            return httpx.Response(200, text=found.model_dump_json())
        return httpx.Response(200, json=[one.model_dump(mode="json") for one in found])

    def _found(self, path: list[str], params: dict[str, str]) -> BaseModel | Sequence[BaseModel] | None:
        match path:
            case ["views", "orders"]:
                return self._page(params)
            case ["views", "orders", order_id]:
                at = _at(params)
                known = (order for order in self.orders if str(order.order_id) == order_id)
                return next((order for order in known if at is None or order.placed_at <= at), None)
            case ["views", "orders", order_id, "events"]:
                events = self.events.get(UUID(order_id), [])
                return OrderEvents(order_id=UUID(order_id), events=tuple(events))
            case ["views", "audit"]:
                return self.audit
            case ["views", "audit", "open"]:
                begin, limit = int(params.get("after", 0)), int(params["limit"])
                page = tuple(self.open_orders[begin : begin + limit])
                more = begin + limit < len(self.open_orders)
                return OpenOrders(orders=page, next=str(begin + limit) if more else None)
            case ["views", "audit", "orders", order_id]:
                as_it_was = next((one for one in self.open_orders if str(one.order_id) == order_id), None)
                return self.at_rest.get(UUID(order_id), as_it_was)
            case ["views", "audit", "totals"]:
                return totals_of(self.book, params["prefix"])
            case ["views", "audit", "entries"]:
                return [one for one in self.book if one.order_id.startswith(params["prefix"])]
            case ["stock"]:
                return [states[-1][1] for states in self.stock.values()]
            case ["stock", sku]:
                at = _at(params)
                past = [view for since, view in self.stock.get(sku, []) if at is None or since <= at]
                return past[-1] if past else None
            case ["money"]:
                return self.money
        return None

    def _page(self, params: dict[str, str]) -> OrderPage:
        try:
            query = OrderQuery.model_validate(params)
        except ValidationError as error:
            raise BadParameters(*((str(one["loc"][0]), one["msg"]) for one in error.errors())) from None
        newest_first = sorted(self.orders, key=lambda order: (order.placed_at, order.order_id), reverse=True)
        ids = [str(order.order_id) for order in newest_first]
        if query.after is not None and query.after not in ids:
            raise BadParameters(("after", "no cursor of ours"))
        rest = newest_first[ids.index(query.after) + 1 :] if query.after else newest_first
        fitting = [order for order in rest if _fits(order, query)]
        page = fitting[: query.limit]
        return OrderPage(orders=tuple(page), next=str(page[-1].order_id) if len(fitting) > query.limit else None)


def totals_of(book: Sequence[BookEntry], prefix: str) -> list[BookTotal]:
    """What somebody who keeps these books tells of the orders whose ids begin so."""
    parts: dict[tuple[str, str, str], list[BookEntry]] = defaultdict(list)
    for one in book:
        if one.order_id.startswith(prefix):
            parts[one.order_id[: len(prefix) + 2], one.state, one.currency].append(one)
    return [
        BookTotal(
            prefix=part,
            state=state,
            currency=currency,
            count=len(entries),
            amount_minor=sum(one.amount_minor for one in entries),
            fingerprint=sum(int.from_bytes(one.order_id[-4:].encode()) for one in entries),
        )
        for (part, state, currency), entries in sorted(parts.items())
    ]


def _fits(order: OrderView, query: OrderQuery) -> bool:
    return (
        query.status in (None, order.status)
        and query.cause in (None, order.cause)
        and query.customer in (None, order.customer_id)
        and (query.placed_from is None or order.placed_at >= query.placed_from)
        and (query.placed_to is None or order.placed_at < query.placed_to)
    )


def _at(params: dict[str, str]) -> datetime | None:
    try:
        return _MOMENT.validate_python(params["at"]) if "at" in params else None
    except ValidationError as error:
        raise BadParameters(("at", str(error))) from None


def _problem(status: int, code: str, detail: str, errors: Sequence[dict[str, Any]] = ()) -> httpx.Response:
    problem = Problem(title=code, status=status, code=code, detail=detail, errors=list(errors))
    return httpx.Response(status, text=problem.model_dump_json(), headers={"Content-Type": PROBLEM_MEDIA_TYPE})
