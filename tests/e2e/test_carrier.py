"""Orders whose carrier answers by an event, on the whole system: whatever dies or is late meanwhile, they end well."""

from functools import partial
from typing import Any

import httpx
import pytest

from contracts.sagas import SagaStatus, SagaView, StepState
from tests.support.eventually import eventually
from tests.support.orders import an_order
from tests.support.shop import Shop
from tests.support.system import System

pytestmark = pytest.mark.e2e

NOWHERE = {**an_order()["shipping_address"], "country": "AQ"}
"""Where no carrier goes."""


async def order_by_event(shop: Shop, **changes: Any) -> SagaView:
    return await shop.order(carrier="by_event", **changes)


async def test_orders_when_the_carrier_answers_end_as_it_says_and_nobody_asks(shop: Shop) -> None:
    accepted, declined = await order_by_event(shop), await order_by_event(shop, shipping_address=NOWHERE)
    at_once = await shop.order(shipping_address=NOWHERE)

    completed = await shop.until_clean(accepted, SagaStatus.COMPLETED)
    compensated = await shop.until_clean(declined, SagaStatus.COMPENSATED)
    same = await shop.until_clean(at_once, SagaStatus.COMPENSATED)

    assert completed.steps[2].attempts == compensated.steps[2].attempts == 1
    assert compensated.failure == same.failure, "later or at once, the carrier says the same"
    assert "ShipmentBooked came: book_shipment is done." in await _told(shop, completed)
    assert "ShipmentBookingRefused came: book_shipment was refused: UNDELIVERABLE_ADDRESS." in await _told(
        shop, compensated
    )
    await shop.assert_replayable([completed, compensated])
    await eventually(lambda: shop.consumers_agree([completed, compensated, same]), within_s=30, every_s=0.2)


async def test_order_when_its_event_comes_after_the_deadline_is_undone_and_the_event_dropped(
    system: System, shop: Shop
) -> None:
    sku = await shop.receive_stock(5)
    lines = [{"sku": sku, "quantity": 2, "unit_price_minor": 1250}]

    with system.frozen("listener"):
        order = await order_by_event(shop, lines=lines, deadline_s=1.5)
        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)

    assert ended.cause == "deadline"
    assert await shop.stock_of(sku) == {"received": 5, "on_hand": 5, "booked": 0, "dispatched": 0}
    await eventually(lambda: _has_caught_up(system), within_s=20, every_s=0.2)
    await shop.assert_clean(ended)


async def test_order_when_the_listener_is_killed_as_the_event_comes_hears_of_it_later(
    system: System, shop: Shop
) -> None:
    restarts = system.state.parts["listener"].restarts
    with system.frozen("listener"):
        order = await order_by_event(shop)
        await eventually(lambda: _is_booked(system, order), within_s=20, every_s=0.1)
        assert (await shop.view(order)).steps[2].state is StepState.WAITING
        system.kill("listener")
    await system.healthy("listener", restarts=restarts + 1)

    ended = await shop.until_clean(order, SagaStatus.COMPLETED)

    assert ended.steps[2].attempts == 1


async def test_orders_when_shipping_is_killed_end_as_the_carrier_says(system: System, shop: Shop) -> None:
    orders = [await order_by_event(shop), await order_by_event(shop, shipping_address=NOWHERE)]
    for order in orders:
        await eventually(partial(_is_accepted, shop, order), within_s=20, every_s=0.05)

    await system.restarted("shipping")

    await shop.until_clean(orders[0], SagaStatus.COMPLETED)
    await shop.until_clean(orders[1], SagaStatus.COMPENSATED)


async def test_order_when_cancelled_while_it_waits_is_undone(system: System, shop: Shop) -> None:
    with system.frozen("listener"):
        order = await order_by_event(shop)
        await eventually(lambda: _is_waiting(shop, order), within_s=20, every_s=0.1)

        assert (await shop.cancel(order)).status_code == 202

        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)
    assert ended.cause == "cancelled"


async def test_order_when_its_acceptance_is_lost_completes(shop: Shop) -> None:
    faults = [{"step": "book_shipment", "kind": "lost_reply"}, {"step": "book_shipment", "kind": "error"}]

    order = await order_by_event(shop, faults=faults)

    ended = await shop.until_clean(order, SagaStatus.COMPLETED)
    assert ended.steps[2].attempts == 3


async def _told(shop: Shop, order: SagaView) -> list[str]:
    return [entry.what for entry in (await shop.story(order)).entries]


async def _is_waiting(shop: Shop, order: SagaView) -> bool:
    return (await shop.view(order)).steps[2].state is StepState.WAITING


async def _is_accepted(shop: Shop, order: SagaView) -> bool:
    return "book_shipment was accepted; an event will tell its outcome." in await _told(shop, order)


async def _is_booked(system: System, order: SagaView) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        stream = await http.get(f"{system.urls.shipping}/streams/{order.order_id}")
    # As long as the shipping service knows nothing of the order, or is busy, there is no stream to look at.
    types = [event["type"] for event in stream.json()["events"]] if stream.is_success else []
    return types == ["ShipmentRequested", "ShipmentBooked"]


async def _has_caught_up(system: System) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        health = (await http.get(f"{system.state.parts['listener'].address}/health/ready")).json()
    assert health["status"] == "ready", health
    return True
