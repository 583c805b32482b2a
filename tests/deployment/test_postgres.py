"""The whole system with its databases on a PostgreSQL server, which goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import httpx
import pytest

from run.databases import DatabaseName
from tests.support.business import Business
from tests.support.databases import (
    PostgresServer,
    behind,
    end_connections,
    postgres_address,
    postgres_url,
    require_postgres,
)
from tests.support.eventually import eventually
from tests.support.shop import Shop, open_shop
from tests.support.system import System, running_system
from tests.support.tcp_gate import TcpGate

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.postgres,
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
async def gate() -> AsyncIterator[TcpGate]:
    require_postgres()
    async with TcpGate.before(*postgres_address()) as gate:
        yield gate


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Of empty databases."""
    require_postgres()
    with closing(PostgresServer()) as server:
        yield {name: postgres_url(server.lend(())) for name in DatabaseName if name is not DatabaseName.RELAY}


@pytest.fixture(scope="module")
async def system(
    gate: TcpGate, urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """A system whose way to PostgreSQL leads through the gate."""
    settings = {f"{name}_database_url".upper(): behind(gate, url) for name, url in urls.items()}
    async with running_system(tmp_path_factory.mktemp("postgres-system"), settings) as system:
        yield system


@pytest.fixture
async def shop(system: System) -> AsyncIterator[Shop]:
    async with open_shop(system) as shop:
        yield shop


async def test_orders_when_the_databases_go_away_and_their_connections_are_ended_all_end_well(
    gate: TcpGate, urls: dict[str, str], system: System, shop: Shop
) -> None:
    business = Business(shop)

    async with business.open():
        await business.goes_on()
        await gate.close()
        await eventually(lambda: is_unready(system))
        await gate.open()
        await business.goes_on()
        for url in urls.values():
            await asyncio.to_thread(end_connections, url)
        await business.goes_on()
        await system.restarted("payment")
        await business.goes_on()

    await business.assert_all_ended_well()
    assert [file.name for file in system.data_dir.glob("*.db")] == ["temporal.db"]


async def is_unready(system: System) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.get(f"{system.urls.order}/health/ready")
    return response.status_code == httpx.codes.SERVICE_UNAVAILABLE
