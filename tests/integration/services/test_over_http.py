"""What only a real server and real connections can show."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from contracts.wire import IDEMPOTENCY_KEY_HEADER, PROBLEM_MEDIA_TYPE
from tests.support.databases import Databases
from tests.support.service_client import SagaAt, Service
from tests.support.service_process import service_process
from tests.support.stock import receive, stock_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def shipping(databases: Databases) -> AsyncIterator[Service]:
    url = databases.url("shipping")
    async with service_process("shipping", database_url=url, stock_file=None, fault_injection=False) as running:
        yield running.service


async def test_book_when_sent_20_times_at_once_then_one_effect_and_20_equal_replies(shipping: Service) -> None:
    sku = await receive(shipping, 100)
    saga = SagaAt(shipping)

    replies = await asyncio.gather(*(saga.send(saga.commands.book_shipment((sku, 3))) for _ in range(20)))

    assert {(reply.status_code, reply.content) for reply in replies} == {(200, replies[0].content)}
    assert (await stock_of(shipping, sku))["on_hand"] == 97


async def test_book_and_cancel_when_at_once_then_no_units_are_lost(shipping: Service) -> None:
    sku = await receive(shipping, 100)
    sagas = [SagaAt(shipping) for _ in range(20)]

    await asyncio.gather(
        *(saga.send(saga.commands.book_shipment((sku, 3))) for saga in sagas),
        *(saga.send(saga.commands.cancel_shipment()) for saga in sagas),
    )

    assert await stock_of(shipping, sku) == {"received": 100, "on_hand": 100, "booked": 0, "dispatched": 0}


async def test_body_when_it_is_1_mb_then_413_and_the_service_goes_on(shipping: Service) -> None:
    headers = {IDEMPOTENCY_KEY_HEADER: "a-key"}

    response = await shipping.http.post("/commands/receive-stock", content=b" " * 2**20, headers=headers)

    assert (response.status_code, response.headers["Content-Type"]) == (413, PROBLEM_MEDIA_TYPE)
    assert (await shipping.http.get("/health/live")).is_success


async def test_request_when_its_caller_hangs_up_halfway_then_the_service_goes_on(shipping: Service) -> None:
    url = httpx.URL(str(shipping.http.base_url))
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /commands/receive-stock HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await shipping.http.get("/health/live")).is_success
