"""A NUL character cannot be stored in every database. Whoever sends one is told so, on all of them."""

import json

import pytest

from contracts.wire import IDEMPOTENCY_KEY_HEADER
from services.views.app import SERVICES
from services.views.app import create_app as create_views_app
from tests.support.builders import SagaCommands
from tests.support.databases import Databases
from tests.support.service_client import Service, in_memory

NOWHERE = dict.fromkeys(SERVICES, "http://127.0.0.1:9")


async def assert_malformed(service: Service, *paths: str) -> None:
    for path in paths:
        response = await service.http.get(path)
        assert (response.status_code, response.json()["code"]) == (422, "MALFORMED_REQUEST"), path


async def test_nul_when_looked_up_in_a_service_then_422(payment: Service, shipping: Service) -> None:
    await assert_malformed(payment, "/streams/%00", "/streams/a%00b", "/gateway/books/%00", "/events?log_id=%00")
    await assert_malformed(shipping, "/stock/%00")


async def test_nul_when_looked_up_in_the_views_then_422(databases: Databases) -> None:
    async with in_memory(create_views_app(database_url=databases.url("views"), feed_urls=NOWHERE)) as views:
        await assert_malformed(views, "/views/orders?customer=%00", "/views/orders/%00", "/stock/%00")


@pytest.mark.parametrize("field", ["customer_id", "saga_id", "currency"])
async def test_nul_when_a_command_holds_one_then_422(order: Service, field: str) -> None:
    body = json.loads(SagaCommands().place_order().model_dump_json()) | {field: "a\0b"}

    response = await order.http.post("/commands/place-order", json=body, headers={IDEMPOTENCY_KEY_HEADER: "key"})

    assert (response.status_code, response.json()["code"]) == (422, "MALFORMED_REQUEST")
