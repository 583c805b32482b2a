"""Orders that come back, through the whole system: what customers, operators and the books see of it."""

import pytest

from contracts.sagas import Cause, SagaStatus, SagaView, StepState
from tests.support.eventually import eventually
from tests.support.shop import Shop
from tests.support.system import System

pytestmark = pytest.mark.e2e


async def told_of(shop: Shop, order: SagaView, event: str) -> bool:
    return event in (await shop.notified()).get(str(order.order_id), [])


async def is_listed(shop: Shop, order: SagaView, status: str, shipment: str, refunded_minor: int) -> bool:
    (seen,) = [one for one in await shop.listed() if one["order_id"] == str(order.order_id)]
    assert (seen["status"], seen["shipment"], seen["refunded_minor"]) == (status, shipment, refunded_minor), seen
    return True


async def test_return_when_healthy_then_all_is_back_and_everybody_is_told(shop: Shop) -> None:
    sku = await shop.receive_stock(3)
    order = await shop.order(wait_s=30, lines=[{"sku": sku, "quantity": 2, "unit_price_minor": 1250}])

    returned = await shop.give_back(order, wait_s=30)

    await shop.until_clean(returned, SagaStatus.COMPLETED)
    await shop.assert_clean(order)
    assert await shop.stock_of(sku) == {"received": 3, "on_hand": 3, "booked": 0, "dispatched": 2, "taken_back": 2}
    assert await shop.paid_back_by_the_gateway(order) == [order.total_minor]
    await eventually(lambda: is_listed(shop, order, "returned", "returned", order.total_minor), within_s=20)
    await eventually(lambda: told_of(shop, order, "PaymentRefunded"), within_s=20)
    await eventually(lambda: found(shop, 'SagaStatus="completed"', order, returned), within_s=20)
    await shop.assert_replayable([order, returned])
    # What came back can be sold again, all of it.
    again = await shop.order(wait_s=30, lines=[{"sku": sku, "quantity": 3, "unit_price_minor": 1250}])
    await shop.until_clean(again, SagaStatus.COMPLETED)


async def test_return_when_the_card_takes_nothing_back_then_the_order_is_as_before(shop: Shop) -> None:
    order = await shop.order(wait_s=30, payment_token="tok_refund_refused")

    returned = await shop.give_back(order, wait_s=30)

    ended = await shop.until_clean(returned, SagaStatus.COMPENSATED)
    await shop.assert_clean(order)
    assert ended.cause is Cause.REFUSED
    assert [step.state for step in ended.steps[:3]] == [*[StepState.COMPENSATED] * 2, StepState.REFUSED]
    assert await shop.paid_back_by_the_gateway(order) == []
    await eventually(lambda: is_listed(shop, order, "confirmed", "dispatched", 0), within_s=20)
    query = 'SagaCause="refused" AND FailedStep="refund_payment" AND FailureCode="REFUND_REFUSED"'
    await eventually(lambda: found(shop, query, returned), within_s=20)


@pytest.mark.parametrize("part", ["worker", "payment", "shipping"])
async def test_return_when_a_part_dies_meanwhile_then_it_completes_clean(system: System, shop: Shop, part: str) -> None:
    order = await shop.order(wait_s=30)
    slow = [{"step": step, "kind": "slow", "delay_ms": 700} for step in ("recall_shipment", "refund_payment")]
    returned = await shop.give_back(order, faults=slow, policy={"action_attempts": 60, "retry_max_s": 1})

    await system.restarted(part)

    await shop.until_clean(returned, SagaStatus.COMPLETED, within_s=60)
    await shop.assert_clean(order)
    assert await shop.paid_back_by_the_gateway(order) == [order.total_minor]


async def found(shop: Shop, query: str, *sagas: SagaView) -> bool:
    """Whether an operator finds just these sagas of the customer by the query."""
    ids = {saga.id for saga in await shop.sagas(query)}
    assert ids == {saga.saga_id for saga in sagas}, ids
    return True
