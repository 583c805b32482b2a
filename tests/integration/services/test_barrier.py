import pytest

from tests.integration.services.barrier_behaviour import BarrierBehaviour
from tests.support.databases import Databases


class TestBarrier(BarrierBehaviour):
    @pytest.fixture
    def database_urls(self, databases: Databases) -> tuple[str, str, str]:
        return databases.url("order"), databases.url("payment"), databases.url("gateway")
