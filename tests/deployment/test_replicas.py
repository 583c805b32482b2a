"""Two of everything that docker-compose.yml describes, on PostgreSQL and RabbitMQ: if one dies, the other goes on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from contracts.sagas import Cause, SagaStatus
from tests.support.business import Business
from tests.support.compose_file import databases, read_compose
from tests.support.composition import Composition, Replica
from tests.support.databases import POSTGRES_URL, require_postgres
from tests.support.engine import dev_server
from tests.support.eventually import eventually
from tests.support.rabbitmq import RABBITMQ_URL, require_rabbitmq, without_leftovers
from tests.support.shop import Shop, open_shop

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.rabbit, pytest.mark.timeout(600)]

TWO = 2
CONSUMERS = ("views", "notifications", "relay", "listener")
STOCK, ORDERS = 5, 15
GIVEN = {"POSTGRES_PASSWORD": "secret", "RABBITMQ_PASSWORD": "secret", "AMENDS_FAULT_INJECTION": "true"}


@contextmanager
def empty_databases(names: Iterable[str]) -> Iterator[str]:
    """Databases for the time of the context. Answers what the URL of each begins with, before its name."""
    prefix = f"amends_test_{uuid4().hex[:12]}_"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        try:
            for name in names:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(prefix + name)))
            yield make_url(POSTGRES_URL).set(database=prefix).render_as_string(hide_password=False)
        finally:
            for name in names:
                doomed = sql.Identifier(prefix + name)
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(doomed))


@pytest.fixture(scope="module")
async def composition(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Composition]:
    require_rabbitmq()
    require_postgres()
    document, exchange = read_compose(GIVEN), f"amends.test.{uuid4().hex}"
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(empty_databases(databases(document)))
        await stack.enter_async_context(without_leftovers(exchange, *CONSUMERS))
        temporal = await stack.enter_async_context(dev_server())
        composition = Composition(
            document,
            replacements={
                "postgresql://amends:secret@postgres/": postgres,
                "amqp://amends:secret@rabbitmq/": RABBITMQ_URL,
                "amends.events": exchange,
            },
            temporal=temporal.client.service_client.config.target_host,
            folder=tmp_path_factory.mktemp("composition"),
            replicas=TWO,
        )
        await stack.enter_async_context(composition.up())
        yield composition


@pytest.fixture
async def shop(composition: Composition) -> AsyncIterator[Shop]:
    async with open_shop(composition) as shop:
        yield shop


async def test_consumers_when_two_of_each_run_have_one_at_work_and_one_that_stands_by(composition: Composition) -> None:
    for name in CONSUMERS:
        await _active(composition, name)


async def test_order_when_its_carrier_answers_by_event_completes(shop: Shop) -> None:
    order = await shop.order(wait_s=30, carrier="by_event")

    await shop.until_clean(order, SagaStatus.COMPLETED)


async def test_stock_when_two_of_each_service_sell_it_then_each_unit_is_sold_once(shop: Shop) -> None:
    sku = await shop.receive_stock(STOCK)
    lines = [{"sku": sku, "quantity": 1, "unit_price_minor": 1250}]

    placed = await asyncio.gather(*(shop.order(lines=lines, wait_s=60) for _ in range(ORDERS)))

    ended = await shop.all_ended(placed, within_s=90)
    assert Counter((order.status, order.cause) for order in ended) == {
        (SagaStatus.COMPLETED, None): STOCK,
        (SagaStatus.COMPENSATED, Cause.REFUSED): ORDERS - STOCK,
    }
    assert await shop.stock_of(sku) == {"received": STOCK, "on_hand": 0, "booked": 0, "dispatched": STOCK}


async def test_orders_when_one_half_of_everything_is_killed_and_then_the_other_end_exactly_once(
    composition: Composition, shop: Shop
) -> None:
    business = Business(shop)
    first = {name: await _active(composition, name) for name in CONSUMERS}

    async with business.open():
        await business.goes_on()
        await _kill_one_of_each(composition, first)
        # Those that stood by have taken over long before other processes were up.
        second = {name: await _active(composition, name) for name in CONSUMERS}
        await business.goes_on()
        await _kill_one_of_each(composition, second, otherwise=1)
        await business.goes_on()

    assert second == {name: 1 - number for name, number in first.items()}
    await business.assert_all_ended_well()


async def _kill_one_of_each(composition: Composition, active: dict[str, int], *, otherwise: int = 0) -> None:
    """Kills all that are at work, and one of each part that shares its work; returns when others are in their place."""
    parts = [name for name, replicas in composition.running.items() if replicas]
    await asyncio.gather(*(composition.restarted(name, active.get(name, otherwise)) for name in parts))


async def _status(replica: Replica) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        found: dict[str, Any] = (await http.get(f"http://127.0.0.1:{replica.port}/health/ready")).json()
        return str(found["status"])


async def _one_is_active(composition: Composition, name: str) -> bool:
    statuses = [await _status(replica) for replica in composition.running[name]]
    assert statuses.count("standing by") == TWO - 1, statuses
    return True


async def _active(composition: Composition, name: str) -> int:
    """The number of the replica that is at work."""
    await eventually(lambda: _one_is_active(composition, name), within_s=20)
    statuses = [await _status(replica) for replica in composition.running[name]]
    return next(number for number, status in enumerate(statuses) if status != "standing by")
