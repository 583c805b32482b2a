"""What a proof needs of Temporal itself: replays with this version's code, and what operators do with the Web UI."""

from typing import Self
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from run.engine import connect
from run.settings import Settings
from run.worker import WORKFLOWS
from workflows.converter import DATA_CONVERTER
from workflows.names import CUSTOMER_ID


class TemporalEngine:
    """Safe to share between tasks."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Without the sandbox: it watches what runs for the first time, and takes more than half of a replay's time.
        self._replayer = Replayer(
            workflows=WORKFLOWS, workflow_runner=UnsandboxedWorkflowRunner(), data_converter=DATA_CONVERTER
        )

    @classmethod
    async def of(cls, settings: Settings) -> Self:
        """Connects.

        Raises:
            CannotRun: Temporal does not answer.
        """
        return cls(await connect(settings, within_s=settings.connect_timeout_s))

    async def replay(self, saga_id: str, history: str) -> str | None:
        """Replays a saga's history, given as JSON. Says what is wrong, None if nothing is."""
        recorded = WorkflowHistory.from_json(saga_id, history)
        result = await self._replayer.replay_workflow(recorded, raise_on_replay_failure=False)
        return str(result.replay_failure) if result.replay_failure else None

    async def cancel(self, saga_id: str) -> None:
        """Asks Temporal to cancel the workflow. One that has ended is left alone."""
        try:
            await self._client.get_workflow_handle(saga_id).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def count(self, customer: str) -> int:
        """How many sagas there are of that customer, as Temporal's lists know, which are a moment behind."""
        return (await self._client.count_workflows(f"{CUSTOMER_ID.name} = '{customer}'")).count

    async def reset(self, saga_id: str) -> None:
        """Resets the workflow to its start: it runs again, and remembers nothing."""
        history = await self._client.get_workflow_handle(saga_id).fetch_history()
        first = next(
            event for event in history.events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        )
        await self._client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self._client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=saga_id),
                reason="the proof runs it again",
                workflow_task_finish_event_id=first.event_id,
                request_id=str(uuid4()),
            )
        )
