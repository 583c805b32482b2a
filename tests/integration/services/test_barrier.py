from pathlib import Path

import pytest

from tests.integration.services.barrier_behaviour import BarrierBehaviour


class TestBarrierOnSqlite(BarrierBehaviour):
    @pytest.fixture
    def database_urls(self, tmp_path: Path) -> tuple[str, str, str]:
        first, second, third = (f"sqlite:///{tmp_path}/{name}.db" for name in ("order", "payment", "gateway"))
        return first, second, third
