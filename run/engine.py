"""The Temporal dev server: where its program is, how it is started, and what its namespace needs.

Its defaults suit neither production nor us: they add 50 ms to each step, round timers up to a second and let SQLite
sync a rollback journal at each commit. The values below were measured (docs/decisions has the numbers that matter).
"""

import asyncio
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from run.errors import CannotRun
from run.settings import Settings, variable_of
from workflows.names import SEARCH_ATTRIBUTES

TUNING = (
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    "history.visibilityProcessorMaxPollRPS=1000",
    'history.timerProcessorMaxTimeShift="5ms"',
)
_PAUSE_S = 0.1


def find_cli(settings: Settings) -> str:
    """The Temporal CLI: the one of the settings, or on PATH, or else the one that was installed with us.

    Raises:
        CannotRun: there is none.
    """
    if settings.temporal_cli is not None:
        if shutil.which(settings.temporal_cli) is None:
            raise CannotRun(f"{variable_of('temporal_cli')}: there is no program {settings.temporal_cli}")
        return str(settings.temporal_cli)
    found = shutil.which("temporal") or shutil.which(str(Path(sys.executable).with_name("temporal")))
    if found is None:
        raise CannotRun(
            "there is no Temporal CLI on PATH; run make install again, or name one in "
            f"{variable_of('temporal_cli')}, or use a running Temporal: {variable_of('temporal_address')}=host:port"
        )
    return found


def engine_command(settings: Settings, cli: str) -> tuple[str, ...]:
    """The dev server with its file database; the namespace and its search attributes come with it."""
    flags = {
        "--ip": settings.host,
        "--port": settings.engine_port,
        "--ui-port": settings.engine_ui_port,
        "--http-port": settings.engine_http_port,
        "--metrics-port": settings.engine_metrics_port,
        "--db-filename": settings.data_dir / "temporal.db",
        "--namespace": settings.namespace,
        "--log-level": "warn",
    }
    return (
        *(cli, "server", "start-dev", "--ui-disable-news-fetch"),
        *(str(part) for flag in flags.items() for part in flag),
        *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
        *(part for key in SEARCH_ATTRIBUTES for part in ("--search-attribute", f"{key.name}=Keyword")),
        *(part for value in TUNING for part in ("--dynamic-config-value", value)),
    )


async def connect(settings: Settings, *, within_s: float) -> Client:
    """Connects as soon as Temporal answers.

    Raises:
        CannotRun: it does not answer within the time.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await Client.connect(settings.engine_address, namespace=settings.namespace)
        except RuntimeError as error:
            if time.monotonic() > deadline:
                raise CannotRun(f"Temporal does not answer at {settings.engine_address}") from error
            await asyncio.sleep(_PAUSE_S)


async def prepare_namespace(client: Client, *, retention: timedelta, within_s: float) -> None:
    """Sees to it that sagas can run in the client's namespace: it exists, keeps ended sagas long enough, and knows
    the search attributes. Doing it again changes nothing; it never shortens a retention.

    Raises:
        CannotRun: a search attribute exists with another type, or Temporal was not ready within the time.
    """
    await _ensure_retention(client, retention)
    deadline = time.monotonic() + within_s
    while True:
        try:
            await _ensure_search_attributes(client)
            await _require_usable(client)
        except RPCError as error:
            # A new namespace, or a new search attribute, takes some seconds to be known everywhere.
            if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
                raise CannotRun(
                    f"Temporal lets us not prepare namespace {client.namespace}: {error.message}"
                ) from error
            if time.monotonic() > deadline:
                raise CannotRun(f"namespace {client.namespace} did not become usable: {error.message}") from error
            await asyncio.sleep(_PAUSE_S)
        else:
            return


async def _ensure_retention(client: Client, retention: timedelta) -> None:
    service = client.workflow_service
    try:
        described = await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        request = RegisterNamespaceRequest(namespace=client.namespace)
        request.workflow_execution_retention_period.FromTimedelta(retention)
        await service.register_namespace(request)
        return
    if described.config.workflow_execution_retention_ttl.ToTimedelta() < retention:
        config = NamespaceConfig()
        config.workflow_execution_retention_ttl.FromTimedelta(retention)
        await service.update_namespace(UpdateNamespaceRequest(namespace=client.namespace, config=config))


async def _ensure_search_attributes(client: Client) -> None:
    operator = client.operator_service
    listed = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    known = dict(listed.custom_attributes)
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    for key in SEARCH_ATTRIBUTES:
        # Temporal would accept it, and keep the other type.
        if known.get(key.name, keyword) != keyword:
            raise CannotRun(f"search attribute {key.name} of namespace {client.namespace} must be a Keyword")
    missing = {key.name: keyword for key in SEARCH_ATTRIBUTES if key.name not in known}
    if missing:
        await operator.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )


async def _require_usable(client: Client) -> None:
    """Any query fails as long as it names a search attribute that is not known yet."""
    query = " OR ".join(f"{key.name} = 'none'" for key in SEARCH_ATTRIBUTES)
    await client.workflow_service.count_workflow_executions(
        CountWorkflowExecutionsRequest(namespace=client.namespace, query=query)
    )
