"""A namespace is made ready for sagas, whoever runs the Temporal that it is in."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from run.engine import prepare_namespace
from run.errors import CannotRun
from tests.support.engine import dev_server
from tests.support.eventually import eventually
from workflows.names import SAGA_STATUS, SEARCH_ATTRIBUTES

pytestmark = pytest.mark.integration

MONTH = timedelta(days=30)


@pytest.fixture(scope="module")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    async with dev_server() as environment:
        yield environment


@pytest.fixture
def client(temporal: WorkflowEnvironment) -> Client:
    """Of a namespace that does not exist yet."""
    return Client(temporal.client.service_client, namespace=f"fresh-{uuid4().hex[:8]}")


async def prepare(client: Client, retention: timedelta = MONTH) -> None:
    await prepare_namespace(client, retention=retention, within_s=30)


async def retention_of(client: Client) -> timedelta:
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    return described.config.workflow_execution_retention_ttl.ToTimedelta()


async def attributes_of(client: Client) -> set[str]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    return set((await client.operator_service.list_search_attributes(request)).custom_attributes)


async def test_namespace_when_new_is_made_with_all_it_needs(client: Client) -> None:
    await prepare(client)

    assert await retention_of(client) == MONTH
    assert await attributes_of(client) >= {key.name for key in SEARCH_ATTRIBUTES}
    assert (await client.count_workflows("SagaStatus = 'stuck' AND CustomerId = 'cust-1'")).count == 0


async def test_namespace_when_prepared_twice_stays_as_it_is(client: Client) -> None:
    await prepare(client)
    attributes = await attributes_of(client)

    await prepare(client)

    assert await attributes_of(client) == attributes
    assert await retention_of(client) == MONTH


async def test_namespace_when_its_retention_is_short_keeps_sagas_longer(temporal: WorkflowEnvironment) -> None:
    assert await retention_of(temporal.client) < MONTH

    await prepare(temporal.client)

    assert await retention_of(temporal.client) == MONTH


async def test_namespace_when_its_retention_is_longer_keeps_it(client: Client) -> None:
    await prepare(client, timedelta(days=90))

    await prepare(client)

    assert await retention_of(client) == timedelta(days=90)


async def test_search_attribute_when_of_another_type_is_refused(client: Client) -> None:
    other = IndexedValueType.INDEXED_VALUE_TYPE_INT
    await prepare_namespace_without_attributes(client)
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes={SAGA_STATUS.name: other})
    )

    with pytest.raises(CannotRun, match="SagaStatus"):
        await prepare(client)


async def prepare_namespace_without_attributes(client: Client) -> None:
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=client.namespace, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )

    async def is_known() -> bool:
        try:
            await attributes_of(client)
            await client.count_workflows("")
        except RPCError:
            return False
        return True

    await eventually(is_known, within_s=30)
