"""A private Temporal dev server for tests, tuned as `make up` tunes it."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from run.engine import TUNING
from workflows.converter import DATA_CONVERTER
from workflows.names import NAMESPACE, SEARCH_ATTRIBUTES

TEMPORAL_CLI = str(Path(sys.executable).with_name("temporal"))


@asynccontextmanager
async def dev_server() -> AsyncIterator[WorkflowEnvironment]:
    """In memory, on a free port; its client speaks as ours do."""
    flags = [flag for value in TUNING for flag in ("--dynamic-config-value", value)]
    async with await WorkflowEnvironment.start_local(
        namespace=NAMESPACE,
        data_converter=DATA_CONVERTER,
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_existing_path=TEMPORAL_CLI,
        dev_server_extra_args=flags,
        dev_server_log_level="error",
        ui=False,
    ) as environment:
        yield environment
