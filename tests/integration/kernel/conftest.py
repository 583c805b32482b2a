from collections.abc import AsyncIterator

import pytest

from tests.integration.kernel.bench import COLD, WARM, Bench, open_bench
from tests.support.engine import dev_server


@pytest.fixture(scope="package")
async def bench() -> AsyncIterator[Bench]:
    async with dev_server() as environment, open_bench(environment) as bench:
        yield bench


@pytest.fixture(params=[WARM, COLD])
def queue(request: pytest.FixtureRequest) -> str:
    return str(request.param)
