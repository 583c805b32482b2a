from collections.abc import AsyncIterator

import pytest

from tests.integration.api.bench import ApiBench, open_api_bench
from tests.support.engine import dev_server


@pytest.fixture(scope="package")
async def api() -> AsyncIterator[ApiBench]:
    async with dev_server() as environment, open_api_bench(environment) as bench:
        yield bench
