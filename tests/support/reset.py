"""Resets a workflow, as an operator does with the CLI or the Web UI."""

from typing import Any
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle


async def reset_to_first_task(client: Client, handle: WorkflowHandle[Any, Any]) -> str:
    """The id of the new run, which has to do everything again and remembers nothing."""
    history = await handle.fetch_history()
    first = next(e for e in history.events if e.HasField("workflow_task_completed_event_attributes"))
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            reason="test",
            workflow_task_finish_event_id=first.event_id,
            request_id=str(uuid4()),
        )
    )
    return answer.run_id
