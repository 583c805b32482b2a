"""The whole system with its events travelling by RabbitMQ: what dies or goes away costs time, and nothing else."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from contracts.sagas import SagaStatus
from tests.support.business import Business
from tests.support.eventually import eventually
from tests.support.rabbitmq import RABBITMQ_URL, rabbitmq_address, require_rabbitmq, without_leftovers
from tests.support.shop import Shop, open_shop
from tests.support.system import System, running_system
from tests.support.tcp_gate import TcpGate

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.rabbit,
    pytest.mark.timeout(400),
]

CONSUMERS = ("views", "notifications")


@pytest.fixture(scope="module")
async def gate() -> AsyncIterator[TcpGate]:
    require_rabbitmq()
    async with TcpGate.before(*rabbitmq_address()) as gate:
        yield gate


@pytest.fixture(scope="module")
async def rabbit_system(gate: TcpGate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system whose way to RabbitMQ leads through the gate."""
    exchange = f"amends.test.{uuid4().hex}"
    address = urlsplit(RABBITMQ_URL)
    through_gate = address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{gate.port}")
    settings = {
        "EVENT_TRANSPORT": "rabbitmq",
        "RABBITMQ_URL": through_gate.geturl(),
        "RABBITMQ_EXCHANGE": exchange,
    }
    async with (
        without_leftovers(exchange, *CONSUMERS),
        running_system(tmp_path_factory.mktemp("rabbit-system"), settings) as system,
    ):
        yield system


@pytest.fixture
async def shop(rabbit_system: System) -> AsyncIterator[Shop]:
    async with open_shop(rabbit_system) as shop:
        yield shop


async def test_events_when_who_sends_and_takes_them_is_killed_in_turn_have_each_one_effect(
    rabbit_system: System, shop: Shop
) -> None:
    business = Business(shop)

    async with business.open():
        for part in ("relay", "views", "notifications", "order", "relay"):
            await business.goes_on()
            await rabbit_system.restarted(part)
        await business.goes_on()

    await business.assert_all_ended_well()


async def test_orders_when_the_broker_is_away_go_on_and_are_heard_of_when_it_is_back(
    gate: TcpGate, rabbit_system: System, shop: Shop
) -> None:
    before = await shop.until_clean(await shop.order(), SagaStatus.COMPLETED)
    await eventually(lambda: shop.consumers_agree([before]), within_s=30, every_s=0.2)

    await gate.close()
    meanwhile = [await shop.until_clean(await shop.order(), SagaStatus.COMPLETED) for _ in range(3)]
    known = await shop.listed()
    await gate.open()

    assert [order["order_id"] for order in known] == [str(before.order_id)]
    await eventually(lambda: shop.consumers_agree([before, *meanwhile]), within_s=30, every_s=0.2)
