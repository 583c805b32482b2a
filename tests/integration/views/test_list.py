"""The list of orders: its filters, and its pages while orders arrive."""

from typing import Any

import pytest

from contracts.sagas import Cause
from contracts.wire import PROBLEM_MEDIA_TYPE
from tests.integration.views.site import Site, Views
from tests.support.builders import SagaCommands
from tests.support.stock import receive

pytestmark = pytest.mark.integration


async def listed(views: Views, **params: Any) -> list[str]:
    return [str(order.order_id) for order in (await views.orders(**params)).orders]


def ids(*sagas: SagaCommands) -> list[str]:
    return [str(saga.order_id) for saga in sagas]


async def test_list_when_filtered_then_only_those_orders_newest_first(site: Site, views: Views) -> None:
    sku = await receive(site.shipping, 10)
    pending = await site.place(customer="ada")
    confirmed = await site.fulfil(sku, customer="bob")
    failed = await site.compensate(sku, customer="ada", cause=Cause.FAILED)
    cancelled = await site.compensate(sku, customer="bob", cause=Cause.CANCELLED)
    await views.caught_up()

    assert await listed(views) == ids(cancelled, failed, confirmed, pending)
    assert await listed(views, status="pending") == ids(pending)
    assert await listed(views, status="confirmed") == ids(confirmed)
    assert await listed(views, status="rejected") == ids(cancelled, failed)
    assert await listed(views, cause="cancelled") == ids(cancelled)
    assert await listed(views, customer="ada") == ids(failed, pending)
    assert await listed(views, customer="ada", status="rejected", cause="failed") == ids(failed)
    assert await listed(views, customer="ada", cause="cancelled") == []
    since = (await views.order(confirmed.order_id)).placed_at.isoformat()
    until = (await views.order(cancelled.order_id)).placed_at.isoformat()
    assert await listed(views, **{"from": since, "to": until}) == ids(failed, confirmed)


async def test_list_when_read_then_each_order_is_as_it_is_alone(site: Site, views: Views) -> None:
    sku = await receive(site.shipping, 10)
    sagas = [await site.fulfil(sku), await site.compensate(sku), await site.place()]
    await views.caught_up()

    page = await views.orders()

    assert [*reversed(page.orders)] == [await views.order(saga.order_id) for saga in sagas]
    assert page.next is None


async def test_list_when_orders_arrive_between_pages_then_none_is_missed_or_shown_twice(
    site: Site, views: Views
) -> None:
    site.place_many(45)
    await views.caught_up()
    expected = await listed(views, limit=1000)

    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await views.orders(limit=10, **after)
        found += [str(order.order_id) for order in page.orders]
        if page.next is None:
            break
        after = {"after": page.next}
        site.place_many(7)
        await views.caught_up()

    assert found == expected
    assert len(await listed(views, limit=1000)) == 45 + 4 * 7


@pytest.mark.parametrize(
    "params",
    [
        {"after": "nonsense"},
        {"after": "bm9uc2Vuc2U="},
        {"limit": "0"},
        {"limit": "1001"},
        {"status": "lost"},
        {"cause": "weather"},
        {"from": "2026-01-01T00:00:00"},
        {"to": "0001-01-01T00:00:00+14:00"},
        {"to": "tomorrow"},
        {"customer": "c" * 201},
        {"colour": "red"},
    ],
    ids=str,
)
async def test_list_when_a_parameter_is_malformed_then_422(lonely_views: Views, params: dict[str, str]) -> None:
    response = await lonely_views.http.get("/views/orders", params=params)

    assert (response.status_code, response.headers["Content-Type"]) == (422, PROBLEM_MEDIA_TYPE)
    problem = response.json()
    assert problem["code"] == "MALFORMED_REQUEST"
    assert problem["errors"][0]["loc"] == ["query", *params]
