from collections.abc import AsyncIterator

import pytest

from tests.support.shop import Shop, open_shop
from tests.support.system import System, running_system


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """The whole system, shared by all tests. Who kills or pauses a part leaves it healthy."""
    async with running_system(tmp_path_factory.mktemp("system")) as system:
        yield system


@pytest.fixture
async def shop(system: System) -> AsyncIterator[Shop]:
    """The doors of the shared system, for a customer whom only this test knows."""
    async with open_shop(system) as shop:
        yield shop
