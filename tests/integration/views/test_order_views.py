"""Orders as all services together tell of them, now and in the past."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from contracts.sagas import Cause
from contracts.views import OrderStatus, ShipmentStatus
from contracts.wire import PROBLEM_MEDIA_TYPE
from tests.integration.views.site import Site, Views, moment_after
from tests.support.stock import receive

pytestmark = pytest.mark.integration


async def test_order_when_fulfilled_then_its_view_tells_what_the_services_do(site: Site, views: Views) -> None:
    saga = await site.fulfil(await receive(site.shipping, 5), customer="cust-7")
    await views.caught_up()

    view = await views.order(saga.order_id)

    told = (await site.order.stream(saga.order_id))["state"]
    paid = (await site.payment.stream(saga.order_id))["state"]
    shipped = (await site.shipping.stream(saga.order_id))["state"]
    assert (view.status, view.customer_id, view.saga_id) == (told["status"], "cust-7", told["saga_id"])
    assert (view.total_minor, view.currency) == (told["total_minor"], told["currency"])
    assert (view.authorized_minor, view.captured_minor) == (paid["authorized_minor"], paid["captured_minor"])
    assert view.shipment == shipped["status"] == ShipmentStatus.DISPATCHED


async def test_order_when_compensated_then_its_view_tells_the_way_there_and_back(site: Site, views: Views) -> None:
    saga = await site.compensate(await receive(site.shipping, 5), cause=Cause.DEADLINE)
    await views.caught_up()

    view = await views.order(saga.order_id)

    assert (view.status, view.cause) == (OrderStatus.REJECTED, Cause.DEADLINE)
    assert (view.authorized_minor, view.voided_minor, view.captured_minor) == (2500, 2500, 0)
    assert [transition.event for transition in view.transitions] == [
        "OrderPlaced",
        "PaymentAuthorized",
        "ShipmentBooked",
        "ShipmentCancelled",
        "PaymentVoided",
        "OrderRejected",
    ]


async def test_events_when_of_an_order_then_all_services_are_in_causal_order(site: Site, views: Views) -> None:
    saga = await site.fulfil(await receive(site.shipping, 5))
    await views.caught_up()

    events = (await views.events(saga.order_id)).events

    assert [(event.service, event.type) for event in events] == [
        ("order", "OrderPlaced"),
        ("payment", "PaymentAuthorized"),
        ("shipping", "ShipmentBooked"),
        ("shipping", "StockBooked"),
        ("payment", "PaymentCaptured"),
        ("order", "OrderConfirmed"),
        ("shipping", "ShipmentDispatched"),
        ("shipping", "StockDispatched"),
    ]
    assert {event.subject for event in events} == {str(saga.order_id)}


async def test_order_when_unknown_then_404_and_no_events(lonely_views: Views) -> None:
    order_id = uuid4()

    response = await lonely_views.http.get(f"/views/orders/{order_id}")

    assert (response.status_code, response.headers["Content-Type"]) == (404, PROBLEM_MEDIA_TYPE)
    assert response.json()["code"] == "ORDER_NOT_FOUND"
    assert (await lonely_views.events(order_id)).events == ()


async def test_order_when_read_as_of_each_transition_then_it_was_so(site: Site, views: Views) -> None:
    saga = await site.fulfil(await receive(site.shipping, 5))
    await views.caught_up()
    now = await views.order(saga.order_id)

    past = await asyncio.gather(*(views.order(saga.order_id, at=step.at.isoformat()) for step in now.transitions))

    assert [len(view.transitions) for view in past] == [1, 2, 3, 4, 5, 6]
    assert [view.status for view in past] == ["pending"] * 4 + ["confirmed"] * 2
    assert [(view.authorized_minor, view.captured_minor) for view in past] == [(0, 0)] + [(2500, 0)] * 2 + [
        (2500, 2500)
    ] * 3
    assert [view.shipment for view in past] == ["none"] * 2 + ["booked"] * 3 + ["dispatched"]
    assert past[-1] == now


async def test_order_when_read_as_of_before_it_was_placed_then_404(site: Site, views: Views) -> None:
    saga = await site.place()
    await views.caught_up()
    placed_at = moment_after(await views.order(saga.order_id), "OrderPlaced")

    before = placed_at - timedelta(microseconds=1)
    response = await views.http.get(f"/views/orders/{saga.order_id}", params={"at": before.isoformat()})

    assert (response.status_code, response.json()["code"]) == (404, "ORDER_NOT_FOUND")


@pytest.mark.parametrize("at", ["2026-01-01T00:00:00", "yesterday", "2026-13-01T00:00:00Z"])
@pytest.mark.parametrize("path", ["/views/orders/0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52", "/stock/BOOK-1"])
async def test_read_when_the_moment_is_no_aware_timestamp_then_it_is_malformed(
    lonely_views: Views, path: str, at: str
) -> None:
    response = await lonely_views.http.get(path, params={"at": at})

    assert (response.status_code, response.json()["code"]) == (422, "MALFORMED_REQUEST")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_read_when_the_moment_is_at_the_end_of_the_calendar_then_it_is_answered(
    site: Site, views: Views, at: str
) -> None:
    sku = await receive(site.shipping, 5)
    saga = await site.place()
    await views.caught_up()

    responses = [
        await views.http.get(path, params={"at": at}) for path in (f"/views/orders/{saga.order_id}", f"/stock/{sku}")
    ]

    assert {response.status_code for response in responses} == {404 if at.startswith("0001") else 200}
