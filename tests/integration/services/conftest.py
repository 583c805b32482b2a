from collections.abc import AsyncIterator

import pytest

from services.kernel.executor import IN_FLIGHT_WAIT_S
from services.order.app import create_app as create_order_app
from services.payment.app import create_app as create_payment_app
from services.shipping.app import create_app as create_shipping_app
from tests.support.databases import Databases
from tests.support.service_client import Service, in_memory


@pytest.fixture
async def order(databases: Databases) -> AsyncIterator[Service]:
    app = create_order_app(database_url=databases.url("order"), fault_injection=True)
    async with in_memory(app) as service:
        yield service


@pytest.fixture
async def payment(databases: Databases) -> AsyncIterator[Service]:
    app = create_payment_app(
        database_url=databases.url("payment"),
        gateway_database_url=databases.url("gateway"),
        fault_injection=True,
    )
    async with in_memory(app) as service:
        yield service


@pytest.fixture
async def shipping(databases: Databases) -> AsyncIterator[Service]:
    app = create_shipping_app(database_url=databases.url("shipping"), stock_file=None, fault_injection=True)
    async with in_memory(app) as service:
        yield service


@pytest.fixture
async def slow_payment(databases: Databases) -> AsyncIterator[Service]:
    """Its gateway takes longer to answer than anybody waits for a command in progress."""
    app = create_payment_app(
        database_url=databases.url("payment"),
        gateway_database_url=databases.url("gateway"),
        fault_injection=False,
        gateway_reply_delay_s=2 * IN_FLIGHT_WAIT_S,
    )
    async with in_memory(app) as service:
        yield service
