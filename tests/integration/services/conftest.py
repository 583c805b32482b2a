from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kernel.executor import IN_FLIGHT_WAIT_S
from services.order.app import create_app as create_order_app
from services.payment.app import create_app as create_payment_app
from services.shipping.app import create_app as create_shipping_app
from tests.support.service_client import Service, in_memory


@pytest.fixture
async def order(tmp_path: Path) -> AsyncIterator[Service]:
    app = create_order_app(database_url=f"sqlite:///{tmp_path}/order.db", fault_injection=True)
    async with in_memory(app) as service:
        yield service


@pytest.fixture
async def payment(tmp_path: Path) -> AsyncIterator[Service]:
    app = create_payment_app(
        database_url=f"sqlite:///{tmp_path}/payment.db",
        gateway_database_url=f"sqlite:///{tmp_path}/gateway.db",
        fault_injection=True,
    )
    async with in_memory(app) as service:
        yield service


@pytest.fixture
async def shipping(tmp_path: Path) -> AsyncIterator[Service]:
    app = create_shipping_app(database_url=f"sqlite:///{tmp_path}/shipping.db", stock_file=None, fault_injection=True)
    async with in_memory(app) as service:
        yield service


@pytest.fixture
async def slow_payment(tmp_path: Path) -> AsyncIterator[Service]:
    """Its gateway takes longer to answer than anybody waits for a command in progress."""
    app = create_payment_app(
        database_url=f"sqlite:///{tmp_path}/slow.db",
        gateway_database_url=f"sqlite:///{tmp_path}/slow_gateway.db",
        fault_injection=False,
        gateway_reply_delay_s=2 * IN_FLIGHT_WAIT_S,
    )
    async with in_memory(app) as service:
        yield service
