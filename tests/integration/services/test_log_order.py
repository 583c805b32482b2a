from pathlib import Path

import pytest

from tests.integration.services.log_order_behaviour import LogOrderBehaviour

pytestmark = pytest.mark.integration


class TestLogOrderOnSqlite(LogOrderBehaviour):
    @pytest.fixture
    def database_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/order.db"
