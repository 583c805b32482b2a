"""The views are killed, off for a while, or meet an event that they cannot take. Nothing is lost or taken twice."""

from contextlib import closing
from typing import Any

import pytest

from contracts.sagas import Cause
from services.kernel import event_log
from services.kernel.event_log import Origin
from services.order.events import OrderConfirmed
from services.order.handlers import ORDER
from services.payment.events import PaymentCaptured
from services.payment.handlers import PAYMENT
from tests.integration.views.site import Site, Views
from tests.support.builders import SagaCommands
from tests.support.eventually import eventually
from tests.support.service_process import service_process
from tests.support.stock import receive

pytestmark = pytest.mark.integration

IN_THE_SECOND_PAGE = 300
NO_LAG = 'amends_consumer_lag{consumer="views",source="order"} 0.0'


async def test_views_when_killed_in_the_middle_of_a_page_then_nothing_is_lost_or_taken_twice(site: Site) -> None:
    arguments = {"database_url": site.views_url, "feed_urls": site.feed_urls}
    async with service_process("views", **arguments) as running:
        sku = await receive(site.shipping, 10)
        await site.fulfil(sku)
        await Views(running.service.http).caught_up()
        site.sabotage.stall("view_events", f"NEW.position = {IN_THE_SECOND_PAGE}")
        site.place_many(1000)
        await eventually(lambda: _is_within_the_second_page(site))
        await running.kill()
    site.sabotage.end()
    kept = site.look("SELECT max(position) FROM view_events WHERE service = 'order'")

    async with service_process("views", **arguments) as running:
        await Views(running.service.http).caught_up()

    assert kept[0][0] < IN_THE_SECOND_PAGE
    assert site.read_model(1) == await site.read_model_of_logs()


async def test_views_when_off_for_2000_events_then_they_catch_up_and_say_how_far_they_are(site: Site) -> None:
    site.place_many(2000)

    async with site.views() as views:
        health = await _health_that_knows_the_log(views)
        metrics = (await views.http.get("/metrics")).text
        await views.caught_up()
        await eventually(lambda: _is_in_metrics(views, NO_LAG))

    assert (health["status"], health["sources"]["order"]["head"]) == ("catching up", 2000)
    assert health["sources"]["order"]["lag"] == 2000 - health["sources"]["order"]["position"] > 0
    assert NO_LAG not in metrics
    assert site.look("SELECT count(*) FROM view_orders") == [(2000,)]


async def test_event_when_it_cannot_be_taken_then_its_stream_waits_and_goes_on_when_replayed(
    site: Site, views: Views
) -> None:
    sku = await receive(site.shipping, 10)
    poisoned = await site.place()
    await views.caught_up()
    # Stands for whatever keeps an event from being taken until somebody sees to it.
    site.sabotage.refuse("view_events", "NEW.type = 'OrderRejected'")

    await site.send(poisoned, site.order, poisoned.reject_order(Cause.CANCELLED))
    _append_after_rejection(site, poisoned)
    other = await site.fulfil(sku)
    await views.caught_up()

    assert (await views.order(other.order_id)).status == "confirmed"
    assert (await views.order(poisoned.order_id)).status == "pending"
    dead = await views.get("/dead-letters")
    assert [(found["stream"], found["version"]) for found in dead["parked"]] == [(str(poisoned.order_id), 2)]
    assert [letter["event"]["streamversion"] for letter in dead["letters"]] == [2, 3]

    site.sabotage.end()
    response = await views.http.post("/dead-letters/replay")

    assert [(one["taken"], one["still_parked"]) for one in response.json()] == [(2, None)]
    assert await views.get("/dead-letters") == {"parked": [], "letters": []}
    assert site.read_model(1) == await site.read_model_of_logs()


async def test_event_when_it_is_unbookable_then_replaying_does_not_help_and_dropping_does(
    site: Site, views: Views
) -> None:
    saga = SagaCommands()
    with closing(site.database_of("payment")) as database, database.writing() as session:
        origin = Origin(f"{saga.saga_id}:capture_payment", "CapturePayment", saga.saga_id)
        captured = PaymentCaptured("never-authorized")
        event_log.append(session, PAYMENT, str(saga.order_id), [captured], expected_version=0, origin=origin)
    await views.caught_up()

    (replayed,) = (await views.http.post("/dead-letters/replay")).json()
    which = {"service": "payment", "stream": str(saga.order_id), "version": 1}
    dropped = await views.http.post("/dead-letters/drop", json=which)

    assert "expected a held authorization, never-authorized is unknown" in replayed["still_parked"]
    assert dropped.json()["still_parked"] is None
    assert await views.get("/dead-letters") == {"parked": [], "letters": []}
    assert await views.money() == {}


async def test_operator_when_he_names_what_no_stream_can_be_called_then_422(views: Views) -> None:
    body = b'{"service": "order", "stream": "\\ud800", "version": 1}'

    for path in ("/dead-letters/drop", "/dead-letters/replay"):
        response = await views.http.post(path, content=body, headers={"Content-Type": "application/json"})

        assert (response.status_code, response.json()["code"]) == (422, "MALFORMED_REQUEST")


async def _health_that_knows_the_log(views: Views) -> dict[str, Any]:
    """Views and services share a loop here, which may be too busy for the log to answer in time at once."""
    healths: list[dict[str, Any]] = []

    async def knows_the_log() -> bool:
        healths.append(await views.get("/health/ready"))
        return healths[-1]["sources"]["order"]["head"] is not None

    await eventually(knows_the_log)
    return healths[-1]


async def _is_in_metrics(views: Views, line: str) -> bool:
    return line in (await views.http.get("/metrics")).text


def _append_after_rejection(site: Site, saga: SagaCommands) -> None:
    """An event that no order service of ours would add; that it waits and is taken is what matters here."""
    with closing(site.database_of("order")) as database, database.writing() as session:
        origin = Origin(f"{saga.saga_id}:confirm_order", "ConfirmOrder", saga.saga_id)
        event_log.append(session, ORDER, str(saga.order_id), [OrderConfirmed()], expected_version=2, origin=origin)


def _is_within_the_second_page(site: Site) -> bool:
    """Whether a transaction is open that has begun after the first page was committed."""
    position = site.look("SELECT position FROM cursors WHERE service = 'order'")[0][0]
    return site.sabotage.is_stalling() and 100 < position < IN_THE_SECOND_PAGE
