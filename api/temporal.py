"""The API's dealings with Temporal: start, read, wait, cancel, decide, tell; each bounded in time.

Guarantees:
- It comes up without Temporal, and gets on by itself when Temporal is there.
- Whatever goes wrong on the way to Temporal is a `TemporalUnavailable`, within the time-out. A start whose answer got
  lost may have happened; the same start again finds it.
- Reads go to the service by raw calls: the SDK's own `describe` fails on paused workflows.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import HistoryEventFilterType, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.config import ApiSettings
from api.order_in_words import customer_attribute_of
from contracts.sagas import RecordedDecision, SagaStatus
from contracts.wire import StepOutcome
from workflows import names
from workflows.converter import DATA_CONVERTER
from workflows.policies import TASK_TIMEOUT
from workflows.saga_input import SagaInput

_UNREACHABLE = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
}
_UNREGISTERED = ("no mapping defined", "not defined", "invalid search attribute:")
"""What Temporal says of a search attribute that is not registered: to a start, and to a query."""
_CLOSED = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
}
_SNAPSHOTS = 3
"""How often a description and a history are read again until they fit each other."""


class TemporalUnavailable(Exception):
    """Temporal cannot be reached, or is not set up; the message says which, in words for a caller."""


class SagaUnknown(Exception):
    """Temporal knows no such saga (any more)."""


class SagaOver(Exception):
    """The saga has ended, so nothing can be asked of it."""


class DecisionTurnedDown(Exception):
    """The saga's validator turned the decision down; the message is its reason."""


class NobodyAnswers(Exception):
    """Temporal took the request, but no worker answered in time. It may yet take effect."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that Temporal knows about a saga's current run."""

    description: DescribeWorkflowExecutionResponse
    events: Sequence[HistoryEvent]

    @property
    def request_digest(self) -> str | None:
        payload = self.description.workflow_execution_info.memo.fields.get(names.REQUEST_DIGEST)
        if payload is None:
            return None
        value: str = DATA_CONVERTER.payload_converter.from_payload(payload, str)
        return value


class Temporal:
    """One per API process. Close it by dropping it: the connection needs no farewell."""

    def __init__(self, client: Client, settings: ApiSettings) -> None:
        self._client = client
        self._settings = settings

    @classmethod
    async def open(cls, settings: ApiSettings) -> "Temporal":
        client = await Client.connect(
            settings.temporal_address, namespace=settings.namespace, data_converter=DATA_CONVERTER, lazy=True
        )
        return cls(client, settings)

    async def start(self, workflow: str, saga: SagaInput, *, digest: str, summary: str, details: str) -> bool:
        """Starts the saga, unless it was started before. Says whether it was new.

        `summary` and `details` are shown by the Web UI, as Markdown.
        """
        async with self._reaching():
            try:
                await self._client.start_workflow(
                    workflow,
                    saga,
                    id=saga.saga_id,
                    task_queue=self._settings.task_queue,
                    task_timeout=TASK_TIMEOUT,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    # A duplicate must be noticed, so that another order under the same key is.
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    static_summary=summary,
                    static_details=details,
                    memo={names.REQUEST_DIGEST: digest},
                    search_attributes=TypedSearchAttributes(
                        [
                            SearchAttributePair(names.SAGA_STATUS, SagaStatus.RUNNING),
                            SearchAttributePair(names.CUSTOMER_ID, customer_attribute_of(saga.ordered.customer_id)),
                        ]
                    ),
                )
            except WorkflowAlreadyStartedError:
                return False
        return True

    async def snapshot(self, saga_id: str) -> Snapshot:
        """What Temporal knows now.

        Raises:
            SagaUnknown: it knows nothing.
        """
        async with self._reaching():
            description = await self._describe(saga_id)
            for _ in range(_SNAPSHOTS):
                length = description.workflow_execution_info.history_length
                events = await self._events(saga_id, description.workflow_execution_info.execution.run_id)
                if len(events) == length:
                    break
                again = await self._describe(saga_id)
                if again.workflow_execution_info.history_length == length:
                    # The rest is no history: while a workflow task keeps failing, Temporal makes up the events of the
                    # present try, for SDKs. Its CLI does not get them.
                    events = events[:length]
                    break
                description = again
        return Snapshot(description, events)

    async def describe(self, saga_id: str) -> DescribeWorkflowExecutionResponse:
        """What Temporal knows now beside the history.

        Raises:
            SagaUnknown: it knows nothing.
        """
        async with self._reaching():
            return await self._describe(saga_id)

    async def is_running(self, saga_id: str) -> bool:
        """Whether the saga is on its way. One that Temporal does not know (any more) is not."""
        try:
            description = await self.describe(saga_id)
        except SagaUnknown:
            return False
        return description.workflow_execution_info.status not in _CLOSED

    async def until_closed(self, saga_id: str, deadline: datetime) -> None:
        """Returns when the saga's run has closed, or at the deadline, whichever comes first."""
        seconds = (deadline - datetime.now(deadline.tzinfo)).total_seconds()
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                handle = self._client.get_workflow_handle(saga_id)
                async for _ in handle.fetch_history_events(
                    wait_new_event=True,
                    event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,  # type: ignore[arg-type]
                    skip_archival=True,
                ):
                    return
        except (TimeoutError, RPCError):
            # The order is on its way; a caller who waits is then told what is known, by a read of its own.
            return

    async def cancel(self, saga_id: str, reason: str) -> None:
        """Asks Temporal to cancel the saga. Asking again changes nothing.

        Raises:
            SagaOver: it has ended.
        """
        async with self._reaching():
            try:
                await self._client.get_workflow_handle(saga_id).cancel(reason=reason)
            except RPCError as error:
                if _is_unknown_saga(error):
                    raise SagaOver(saga_id) from None
                raise

    async def tell(self, saga_id: str, outcome: StepOutcome) -> None:
        """Tells the saga what has become of a step that was accepted. Telling it again is harmless.

        Raises:
            SagaOver: it has ended, or there never was one.
        """
        async with self._reaching():
            try:
                await self._client.get_workflow_handle(saga_id).signal(names.STEP_OUTCOME, outcome)
            except RPCError as error:
                if _is_unknown_saga(error):
                    raise SagaOver(saga_id) from None
                raise

    async def decide(self, saga_id: str, decision: RecordedDecision, update_id: str) -> None:
        """Brings an operator's decision to the saga. The same update id again is the same decision.

        Raises:
            SagaOver: it has ended.
            DecisionTurnedDown: the decision makes no sense now.
            NobodyAnswers: no worker took it in time.
        """
        handle = self._client.get_workflow_handle(saga_id)
        try:
            async with asyncio.timeout(self._settings.decision_timeout_s):
                await handle.execute_update(names.DECIDE, decision, id=update_id, result_type=type(None))
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            raise NobodyAnswers(saga_id) from None
        except WorkflowUpdateFailedError as error:
            raise DecisionTurnedDown(getattr(error.cause, "message", None) or str(error.cause)) from None
        except RPCError as error:
            if _is_unknown_saga(error):
                raise SagaOver(saga_id) from None
            if error.status is RPCStatusCode.FAILED_PRECONDITION:
                # Somebody has paused the workflow, where Temporal allows that.
                raise DecisionTurnedDown(error.message) from None
            if error.status in _UNREACHABLE or _is_missing_setup(error):
                raise TemporalUnavailable(_reason(error)) from error
            raise

    async def check(self) -> None:
        """Returns if sagas can be started.

        Raises:
            TemporalUnavailable: says what is missing.
        """
        # A query that finds nothing, but that is turned down where an attribute is not registered.
        known = " AND ".join(f"{attribute.name} IS NULL" for attribute in names.SEARCH_ATTRIBUTES)
        async with self._reaching():
            await self._client.count_workflows(f"WorkflowId = 'none' AND {known}")

    async def _describe(self, saga_id: str) -> DescribeWorkflowExecutionResponse:
        try:
            return await self._client.workflow_service.describe_workflow_execution(
                DescribeWorkflowExecutionRequest(
                    namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=saga_id)
                ),
                retry=True,
            )
        except RPCError as error:
            if _is_unknown_saga(error):
                raise SagaUnknown(saga_id) from None
            raise

    async def _events(self, saga_id: str, run_id: str) -> list[HistoryEvent]:
        events: list[HistoryEvent] = []
        token = b""
        while True:
            page = await self._client.workflow_service.get_workflow_execution_history(
                GetWorkflowExecutionHistoryRequest(
                    namespace=self._client.namespace,
                    execution=WorkflowExecution(workflow_id=saga_id, run_id=run_id),
                    next_page_token=token,
                ),
                retry=True,
            )
            events.extend(page.history.events)
            token = page.next_page_token
            if not token:
                return events

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.temporal_timeout_s):
                yield
        except TimeoutError:
            seconds = self._settings.temporal_timeout_s
            raise TemporalUnavailable(f"Temporal did not answer within {seconds:g} s") from None
        except RPCError as error:
            if error.status in _UNREACHABLE or _is_missing_setup(error):
                raise TemporalUnavailable(_reason(error)) from error
            raise
        except RuntimeError as error:
            # How the SDK reports that a lazy client's first connection failed.
            if "connect" not in str(error).lower():
                raise
            raise TemporalUnavailable("Temporal cannot be reached") from error


def _is_unknown_saga(error: RPCError) -> bool:
    return error.status is RPCStatusCode.NOT_FOUND and not _is_missing_setup(error)


def _is_missing_setup(error: RPCError) -> bool:
    text = error.message.lower()
    if "namespace" in text and "not found" in text:
        return True
    # Not every word about a search attribute: that a value is refused is no matter of set-up, and no retry mends it.
    return any(said in text for said in _UNREGISTERED)


def _reason(error: RPCError) -> str:
    if _is_missing_setup(error):
        return f"Temporal is not set up for sagas: {error.message}"
    return "Temporal cannot be reached"
