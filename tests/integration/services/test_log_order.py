import pytest

from tests.integration.services.log_order_behaviour import LogOrderBehaviour
from tests.support.databases import Databases

pytestmark = pytest.mark.integration


class TestLogOrder(LogOrderBehaviour):
    @pytest.fixture
    def database_url(self, databases: Databases) -> str:
        return databases.url("order")
