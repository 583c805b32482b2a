"""The read models of one order, of stock and of money, as the query side has them, now and at past moments."""

from datetime import timedelta
from uuid import uuid4

import pytest

from contracts.views import MoneyView, OrderView, StockView
from tests.integration.api.bench import ApiBench
from tests.support.views_on_paper import EPOCH, an_order_view

pytestmark = pytest.mark.integration


async def test_order_when_known_then_as_the_query_side_tells(api: ApiBench) -> None:
    order = an_order_view(customer_id="somebody")
    api.paper.views.orders.append(order)

    response = await api.http.get(f"/views/orders/{order.order_id}")

    assert OrderView.model_validate_json(response.content) == order


async def test_order_when_asked_for_before_it_was_placed_then_404(api: ApiBench) -> None:
    order = an_order_view(placed_at=EPOCH)
    api.paper.views.orders.append(order)
    path = f"/views/orders/{order.order_id}"

    before = await api.http.get(path, params={"at": "2025-12-31T23:59:59Z"})
    then = await api.http.get(path, params={"at": "2026-01-01T01:00:00+01:00"})

    assert (before.status_code, before.json()["code"]) == (404, "ORDER_NOT_FOUND")
    assert then.status_code == 200


async def test_stock_when_asked_for_then_now_or_as_it_was(api: ApiBench) -> None:
    sku = f"SKU-{uuid4().hex[:12]}"
    before, now = (StockView(sku=sku, received=received, on_hand=received) for received in (5, 8))
    api.paper.views.stock[sku] = [(EPOCH, before), (EPOCH + timedelta(days=1), now)]

    everything = (await api.http.get("/stock")).json()
    today = await api.http.get(f"/stock/{sku}")
    then = await api.http.get(f"/stock/{sku}", params={"at": "2026-01-01T12:00:00Z"})
    too_early = await api.http.get(f"/stock/{sku}", params={"at": "2025-01-01T12:00:00Z"})

    assert now.model_dump() in everything
    assert StockView.model_validate_json(today.content) == now
    assert StockView.model_validate_json(then.content) == before
    assert (too_early.status_code, too_early.json()["code"]) == (404, "SKU_NOT_FOUND")


async def test_stock_when_the_sku_is_unknown_then_404(api: ApiBench) -> None:
    response = await api.http.get("/stock/NEVER-1")

    assert (response.status_code, response.json()["code"]) == (404, "SKU_NOT_FOUND")
    assert "NEVER-1" in response.json()["detail"]


async def test_money_when_asked_for_then_by_currency(api: ApiBench) -> None:
    api.paper.views.money = [MoneyView(currency="EUR", authorized_minor=100, captured_minor=60, held_minor=40)]

    money = (await api.http.get("/money")).json()

    assert [MoneyView.model_validate(one) for one in money] == api.paper.views.money
