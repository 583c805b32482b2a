"""The list of orders, from the query side: filtered, in pages, and honest about a query side that is not there."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.app import create_app
from contracts.sagas import Cause
from contracts.views import OrderStatus, OrderView
from tests.integration.api.bench import ApiBench, serving, settings_for
from tests.support.views_on_paper import EPOCH, an_order_view

pytestmark = pytest.mark.integration


@pytest.fixture
def customer() -> str:
    return f"cust & söhne+{uuid4().hex}"


def put_on_paper(api: ApiBench, customer: str, count: int, **changes: Any) -> list[OrderView]:
    """The customer's orders in the query side, one second apart, newest first."""
    orders = [
        an_order_view(customer_id=customer, placed_at=EPOCH + timedelta(seconds=second), **changes)
        for second in reversed(range(count))
    ]
    api.paper.views.orders += orders
    return orders


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [order["order_id"] for order in answer.json()["orders"]]


def ids_of(orders: list[OrderView]) -> list[str]:
    return [str(order.order_id) for order in orders]


async def test_list_when_there_are_orders_then_newest_first_with_links(api: ApiBench, customer: str) -> None:
    orders = put_on_paper(api, customer, 3)

    answer = await api.http.get("/orders", params={"customer": customer})

    assert ids(answer) == ids_of(orders)
    assert answer.json()["next"] is None
    first = answer.json()["orders"][0]
    assert first["links"]["self"] == f"/orders/{orders[0].order_id}"
    assert OrderView.model_validate({name: first[name] for name in first if name != "links"}) == orders[0]


async def test_next_when_followed_to_the_end_then_every_order_once(api: ApiBench, customer: str) -> None:
    orders = put_on_paper(api, customer, 7, status=OrderStatus.REJECTED, cause=Cause.REFUSED)
    put_on_paper(api, customer, 3)
    filters = {"status": "rejected", "cause": "refused", "customer": customer, "from": "2026-01-01T02:00:00+02:00"}

    pages = [await api.http.get("/orders", params={**filters, "limit": "2"})]
    while (following := pages[-1].json()["next"]) is not None:
        pages.append(await api.http.get(following))

    assert [len(ids(page)) for page in pages] == [2, 2, 2, 1]
    assert [one for page in pages for one in ids(page)] == ids_of(orders)


@pytest.mark.parametrize(
    ("filters", "fitting"),
    [
        ({"status": "pending"}, [4, 3]),
        ({"status": "confirmed"}, [2]),
        ({"status": "rejected", "cause": "deadline"}, [0]),
        ({"cause": "refused"}, [1]),
        ({"from": "2026-01-01T00:00:03Z"}, [4, 3]),
        ({"to": "2026-01-01T00:00:01Z"}, [0]),
        ({"from": "2026-01-01T01:00:01+01:00", "to": "2025-12-31T23:00:03-01:00"}, [2, 1]),
        ({"status": "pending", "cause": "refused"}, []),
    ],
)
async def test_list_when_filtered_then_what_fits_all_filters(
    api: ApiBench, customer: str, filters: dict[str, str], fitting: list[int]
) -> None:
    ends: list[tuple[OrderStatus, Cause | None]] = [
        (OrderStatus.REJECTED, Cause.DEADLINE),
        (OrderStatus.REJECTED, Cause.REFUSED),
        (OrderStatus.CONFIRMED, None),
        (OrderStatus.PENDING, None),
        (OrderStatus.PENDING, None),
    ]
    orders = [
        an_order_view(customer_id=customer, placed_at=EPOCH + timedelta(seconds=second), status=status, cause=cause)
        for second, (status, cause) in enumerate(ends)
    ]
    api.paper.views.orders += orders

    answer = await api.http.get("/orders", params={"customer": customer, **filters})

    assert ids(answer) == ids_of([orders[number] for number in fitting])


async def test_limit_when_absent_or_too_large_then_as_the_settings_say(api: ApiBench, customer: str) -> None:
    put_on_paper(api, customer, 5)
    settings = settings_for(api.environment, default_page=2, max_page=4)

    async with serving(create_app(settings=settings, transport=api.paper.transport())) as http:
        by_default = await http.get("/orders", params={"customer": customer})
        at_most = await http.get("/orders", params={"customer": customer, "limit": "1000000"})

    assert (len(ids(by_default)), len(ids(at_most))) == (2, 4)


@pytest.mark.parametrize(
    "path", ["/orders", "/views/orders/{}", "/orders/{}/events", "/stock", "/stock/BOOK-1", "/money"]
)
async def test_query_side_when_down_then_503_naming_it(api: ApiBench, path: str) -> None:
    api.paper.down.add("views")
    try:
        response = await api.http.get(path.format(uuid4()))
    finally:
        api.paper.down.clear()

    assert (response.status_code, response.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert response.json()["detail"] == "the views service cannot be reached"
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="oh"),
        httpx.Response(503, json={"code": "REBUILDING"}),
        httpx.Response(404, json={}),
        httpx.Response(200, text="<html>"),
        httpx.Response(422, text="no problem"),
    ],
    ids=lambda answer: f"{answer.status_code}",
)
async def test_query_side_when_it_talks_nonsense_then_503_naming_it(api: ApiBench, answer: httpx.Response) -> None:
    api.paper.views.instead = answer
    try:
        response = await api.http.get("/orders")
    finally:
        api.paper.views.instead = None

    assert (response.status_code, response.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert response.json()["detail"].startswith("the views service ")


async def test_query_side_when_it_adds_fields_then_they_are_left_out(api: ApiBench) -> None:
    order = an_order_view().model_dump(mode="json") | {"colour": "mauve"}
    api.paper.views.instead = httpx.Response(200, json={"orders": [order], "next": None, "count": 1})
    try:
        response = await api.http.get("/orders")
    finally:
        api.paper.views.instead = None

    assert ids(response) == [order["order_id"]]
    assert "mauve" not in response.text
