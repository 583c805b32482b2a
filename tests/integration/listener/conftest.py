from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.integration.listener.stage import Stage, open_stage
from tests.support.databases import Databases
from tests.support.engine import dev_server


@pytest.fixture(scope="package")
async def engine() -> AsyncIterator[WorkflowEnvironment]:
    async with dev_server() as environment:
        yield environment


@pytest.fixture
async def stage(engine: WorkflowEnvironment, databases: Databases) -> AsyncIterator[Stage]:
    async with open_stage(engine, databases) as stage:
        yield stage
