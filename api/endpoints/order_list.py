"""The list of orders, from the query side."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints

from api.query_side import UnknownCursor
from api.web.problem_codes import documented
from api.web.problems import malformed_parameter
from api.web.requests import Moment, ReadModels, Sagas
from contracts.base import Contract, Text
from contracts.sagas import Cause, Links
from contracts.views import OrderQuery, OrderStatus, OrderView

router = APIRouter(tags=["orders"])

PATH = "/orders"

Cursor = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ListQuery(Contract):
    """Which orders to list. What is given must hold together; parameters that there are not are refused."""

    status: OrderStatus | None = None
    """Of the order, not of its saga."""
    cause: Cause | None = None
    """Why it was rejected."""
    customer: Text | None = None
    """The `customer_id`."""
    placed_from: Moment | None = Field(default=None, alias="from")
    """Placed at this moment or later."""
    placed_to: Moment | None = Field(default=None, alias="to")
    """Placed before this moment."""
    after: Cursor | None = None
    """Where a page's `next` goes on. Made up it means nothing."""
    limit: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """Orders on a page, within limits."""


class ListedOrder(OrderView):
    links: Links


class OrderList(Contract):
    orders: tuple[ListedOrder, ...]
    """Newest first."""
    next: str | None = None
    """Link to the next page; null on the last one."""


@router.get(PATH, responses=documented("MALFORMED", "SERVICE_UNAVAILABLE"))
async def list_orders(query: Annotated[ListQuery, Query()], sagas: Sagas, views: ReadModels) -> OrderList:
    """List orders, newest first, as the services together tell of them.

    The list is a read model, so it is a moment behind: an order shows as soon as its first event has come through.
    """
    limit = min(query.limit or sagas.settings.default_page, sagas.settings.max_page)
    params = query.model_dump(mode="json", by_alias=True, exclude_none=True) | {"limit": limit}
    try:
        page = await views.orders(OrderQuery.model_validate(params))
    except UnknownCursor:
        raise malformed_parameter("after", "it goes on from no page; follow `next` as it is") from None
    return OrderList(
        orders=tuple(
            ListedOrder(**dict(order), links=sagas.links(order.order_id, order.order_id)) for order in page.orders
        ),
        next=f"{PATH}?{urlencode(params | {'after': page.next})}" if page.next else None,
    )
