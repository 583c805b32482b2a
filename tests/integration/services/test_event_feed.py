"""The feed: what is announced, in which order, to whom, and who is told to begin anew."""

import asyncio
import json
from contextlib import closing
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from sqlalchemy import text

from contracts.events import BATCH_MEDIA_TYPE, HEAD_HEADER, LOG_ID_HEADER, POSITION_HEADER, PublicEvent
from services.kernel import event_log
from services.kernel.database import Database
from tests.support.builders import random_sku
from tests.support.databases import Databases
from tests.support.eventually import eventually
from tests.support.service_client import SagaAt, Service
from tests.support.stock import receive

pytestmark = pytest.mark.integration


async def feed(service: Service, **query: Any) -> httpx.Response:
    return await service.http.get("/events", params=query, timeout=10)


async def confirmed_order(order: Service) -> SagaAt:
    saga = SagaAt(order)
    await saga.send(saga.commands.place_order())
    await saga.send(saga.commands.confirm_order())
    return saga


class TestPages:
    async def test_feed_when_read_from_its_start_tells_all_in_order(self, order: Service) -> None:
        saga = await confirmed_order(order)

        page = await feed(order)

        placed, confirmed = [PublicEvent.model_validate(event) for event in page.json()]
        assert page.headers["Content-Type"] == BATCH_MEDIA_TYPE
        assert (placed.routing_key, confirmed.routing_key) == ("order.OrderPlaced", "order.OrderConfirmed")
        assert (placed.position, confirmed.position) == (1, 2)
        assert (placed.subject, placed.stream, placed.sagaid) == (saga.order_id, saga.order_id, saga.commands.saga_id)
        assert placed.causationid == f"{saga.commands.saga_id}:place_order/PlaceOrder"
        assert (page.headers[POSITION_HEADER], page.headers[HEAD_HEADER]) == ("2", "2")

    async def test_feed_when_paged_gives_each_event_once(self, order: Service) -> None:
        for _ in range(3):
            await confirmed_order(order)

        position, ids = 0, []
        while events := (page := await feed(order, after=position, limit=2)).json():
            ids += [event["id"] for event in events]
            position = int(page.headers[POSITION_HEADER])

        assert (len(ids), len(set(ids)), position) == (6, 6, 6)

    @pytest.mark.parametrize("query", [{"after": -1}, {"limit": 0}, {"limit": 1001}, {"wait": 31}, {"after": "x"}])
    async def test_feed_when_asked_for_what_there_is_not_answers_422(
        self, order: Service, query: dict[str, Any]
    ) -> None:
        answer = await feed(order, **query)

        assert (answer.status_code, answer.json()["code"]) == (422, "MALFORMED_REQUEST")


class TestContent:
    async def test_events_when_read_by_the_official_library_are_cloudevents(
        self, order: Service, payment: Service, shipping: Service
    ) -> None:
        await confirmed_order(order)
        paid, booked = SagaAt(payment), SagaAt(shipping)
        sku = await receive(shipping, 3)
        await paid.send(paid.commands.authorize_payment())
        await paid.send(paid.commands.release_payment())
        await booked.send(booked.commands.book_shipment((sku, 2)))
        await booked.send(booked.commands.cancel_shipment())

        batches = [(await feed(service)).json() for service in (order, payment, shipping)]

        for event in (event for batch in batches for event in batch):
            read = JSONFormat().read(None, json.dumps(event))
            assert read.get_type() == event["type"]
            assert read.get_extension("position") == event["position"]
            message = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(event).encode())
            assert from_http_event(message).get_id() == event["id"]
        assert [len(batch) for batch in batches] == [2, 2, 5]

    async def test_event_when_it_is_about_stock_names_sku_order_and_delivery(self, shipping: Service) -> None:
        sku = await receive(shipping, 3)
        saga = SagaAt(shipping)
        await saga.send(saga.commands.book_shipment((sku, 2)))

        received, booked, stock_booked = (await feed(shipping)).json()

        assert (received["subject"], received["data"]["quantity"]) == (f"stock-{sku}", 3)
        assert received["data"]["delivery"]
        assert (stock_booked["subject"], stock_booked["data"]) == (saga.order_id, {"sku": sku, "quantity": 2})
        assert "shipping_address" not in booked["data"]

    async def test_tombstone_when_left_is_not_announced(self, shipping: Service) -> None:
        saga = SagaAt(shipping)

        outcome = await saga.outcome(saga.commands.cancel_shipment())

        assert (outcome, (await feed(shipping)).json()) == ("nothing_to_undo", [])

    async def test_event_when_stored_by_an_older_version_is_announced_as_todays(
        self, shipping: Service, databases: Databases
    ) -> None:
        sku = random_sku()
        store_as_version_1_did(databases.url("shipping"), f"stock-{sku}", {"quantity": 7})
        saga = SagaAt(shipping)

        booked = await saga.outcome(saga.commands.book_shipment((sku, 5)))
        (received, *_) = (await feed(shipping)).json()

        assert booked == "done"
        assert received["data"] == {"sku": sku, "quantity": 7, "delivery": "unknown"}


class TestWaiting:
    async def test_feed_when_nothing_comes_answers_empty(self, order: Service) -> None:
        page = await feed(order, wait=0.1)

        assert (page.json(), page.headers[POSITION_HEADER]) == ([], "0")

    async def test_feed_when_an_event_comes_while_waiting_answers_at_once(self, order: Service) -> None:
        waiting = asyncio.create_task(feed(order, wait=30))
        await asyncio.sleep(0)

        await confirmed_order(order)

        await eventually(waiting.done, within_s=5)
        assert next(event["type"] for event in (await waiting).json()) == "OrderPlaced"

    async def test_reader_when_the_service_is_to_end_is_let_go(self, order: Service) -> None:
        waiting = asyncio.create_task(feed(order, wait=30))
        await asyncio.sleep(0)

        order.app.state.drain()

        await eventually(waiting.done, within_s=5)
        assert (await waiting).json() == []


class TestReplacedLog:
    async def test_reader_when_it_followed_another_log_is_told(self, order: Service) -> None:
        await confirmed_order(order)

        answer = await feed(order, after=1, log_id="another")

        assert (answer.status_code, answer.json()["code"]) == (409, "LOG_REPLACED")

    async def test_reader_when_it_is_ahead_of_the_head_is_told(self, order: Service) -> None:
        await confirmed_order(order)

        answer = await feed(order, after=3)

        assert (answer.status_code, answer.json()["code"]) == (409, "LOG_REPLACED")

    async def test_log_when_its_id_is_renewed_is_another_one(self, order: Service, databases: Databases) -> None:
        await confirmed_order(order)
        before = (await feed(order)).headers[LOG_ID_HEADER]
        database = Database(databases.url("order"))

        with database.writing() as session:
            renewed = event_log.renew_log_id(session)
        database.close()

        assert (await feed(order, log_id=before)).status_code == 409
        assert (await feed(order, log_id=renewed)).headers[LOG_ID_HEADER] == renewed != before


def store_as_version_1_did(url: str, stream: str, data: dict[str, Any]) -> None:
    """A row as it lies in databases from before stock knew its deliveries."""
    statement = (
        "INSERT INTO events (stream, version, type, data, key, command, saga_id, recorded_at)"
        " VALUES (:stream, 1, 'StockReceived', :data, 'seed:x', 'ReceiveStock', NULL, '2026-01-01 00:00:00.000000')"
    )
    with closing(Database(url)) as database, database.writing() as session:
        session.connection().execute(text(statement), {"stream": stream, "data": json.dumps(data)})
