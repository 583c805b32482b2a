"""Many orders after little stock: whoever gets none makes amends, and nobody fails for another reason."""

import asyncio
from collections import Counter

import pytest
from temporalio.client import WorkflowExecutionStatus

from contracts.sagas import Cause, SagaStatus, SagaView
from tests.support.eventually import eventually
from tests.support.shop import Shop

pytestmark = pytest.mark.e2e

ORDERS, STOCK = 30, 8


async def test_stock_when_more_orders_than_units_then_each_unit_is_sold_once(shop: Shop) -> None:
    sku = await shop.receive_stock(STOCK)
    lines = [{"sku": sku, "quantity": 1, "unit_price_minor": 1250}]

    placed = await asyncio.gather(*(shop.order(lines=lines, wait_s=60) for _ in range(ORDERS)))

    orders = await shop.all_ended(placed)
    assert Counter(_end_of(order) for order in orders) == {
        (SagaStatus.COMPLETED, None, None): STOCK,
        (SagaStatus.COMPENSATED, Cause.REFUSED, "OUT_OF_STOCK"): ORDERS - STOCK,
    }
    assert await shop.stock_of(sku) == {"received": STOCK, "on_hand": 0, "booked": 0, "dispatched": STOCK}
    await eventually(lambda: _is_shown_in_temporal(shop), within_s=20)


async def test_stock_when_orders_take_several_skus_at_once_then_none_is_sold_twice(shop: Shop) -> None:
    skus = [await shop.receive_stock(STOCK) for _ in range(3)]
    baskets = [[skus[i % 3], skus[(i + 1) % 3]] for i in range(ORDERS // 2)]

    placed = await asyncio.gather(
        *(
            shop.order(lines=[{"sku": sku, "quantity": 1, "unit_price_minor": 1250} for sku in basket], wait_s=60)
            for basket in baskets
        )
    )

    orders = await shop.all_ended(placed)
    assert {_end_of(order) for order in orders} == {
        (SagaStatus.COMPLETED, None, None),
        (SagaStatus.COMPENSATED, Cause.REFUSED, "OUT_OF_STOCK"),
    }
    sold = Counter(
        sku
        for order, basket in zip(orders, baskets, strict=True)
        if order.status is SagaStatus.COMPLETED
        for sku in basket
    )
    for sku in skus:
        left = STOCK - sold[sku]
        assert left >= 0
        assert await shop.stock_of(sku) == {"received": STOCK, "on_hand": left, "booked": 0, "dispatched": sold[sku]}


def _end_of(order: SagaView) -> tuple[SagaStatus, Cause | None, str | None]:
    return order.status, order.cause, order.failure.code if order.failure else None


async def _is_shown_in_temporal(shop: Shop) -> bool:
    statuses = Counter(saga.status for saga in await shop.sagas())
    assert statuses == {WorkflowExecutionStatus.COMPLETED: STOCK, WorkflowExecutionStatus.FAILED: ORDERS - STOCK}
    return True
