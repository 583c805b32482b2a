"""The worker verb: runs a worker, and tells once it takes sagas."""

import asyncio
import logging
import os
import socket
from contextlib import suppress

import typer
from temporalio.api.enums.v1 import DescribeTaskQueueMode, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from run.engine import connect
from run.errors import CannotRun
from run.settings import Settings
from run.worker import run_worker

_POLL_S = 0.1


class OneLinePerFailedAttempt(logging.Filter):
    """Takes the traceback from attempts that a service refused or failed: news, but no bug of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ApplicationError):
            record.msg, record.args = f"{record.getMessage()}: {error}", ()
            record.exc_info = None
        return True


async def work(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT.

    Raises:
        CannotRun: Temporal does not answer.
    """
    logging.getLogger("temporalio.activity").addFilter(OneLinePerFailedAttempt())
    # The worker's own attempt to connect is not repeated.
    await connect(settings, within_s=settings.connect_timeout_s)
    announcing = asyncio.create_task(_announce(settings))
    try:
        await run_worker(
            temporal_address=settings.engine_address,
            namespace=settings.namespace,
            task_queue=settings.task_queue,
            order_url=settings.service_url("order"),
            payment_url=settings.service_url("payment"),
            shipping_url=settings.service_url("shipping"),
            max_cached_workflows=settings.max_cached_workflows,
            fault_injection=settings.fault_injection,
        )
    except RuntimeError as error:
        raise CannotRun(f"the worker cannot work: {error}") from error
    finally:
        announcing.cancel()
        with suppress(asyncio.CancelledError):
            await announcing


async def _announce(settings: Settings) -> None:
    """Says so once Temporal counts this process among those that take sagas."""
    client = await connect(settings, within_s=settings.connect_timeout_s)
    while not await _polls(client, settings.task_queue):
        await asyncio.sleep(_POLL_S)
    if settings.ready_file is not None:
        settings.ready_file.write_text(str(os.getpid()))
    typer.echo(f"amends-worker takes sagas from {settings.task_queue} at {settings.engine_address}")


async def _polls(client: Client, task_queue: str) -> bool:
    """Asks in both ways there are: the plain one sees one partition of the queue, the other's answer may be 5 s old."""
    ours = f"{os.getpid()}@{socket.gethostname()}"
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    whole = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        api_mode=DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
        task_queue_types=[TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW],
        report_pollers=True,
    )
    try:
        described = await client.workflow_service.describe_task_queue(request)
        if any(poller.identity == ours for poller in described.pollers):
            return True
        described = await client.workflow_service.describe_task_queue(whole)
    except RPCError:
        return False
    return any(
        poller.identity == ours
        for version in described.versions_info.values()
        for of_type in version.types_info.values()
        for poller in of_type.pollers
    )
