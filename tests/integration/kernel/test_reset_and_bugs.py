"""A reset changes no outcome, and a bug in workflow code compensates nothing."""

import time
from collections.abc import Iterator

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from contracts.sagas import SagaStatus
from tests.integration.kernel.bench import QUICK, Bench, Run
from tests.support.eventually import eventually
from tests.support.participants import BUGS, Move
from tests.support.scripted_saga import ScriptedSaga
from workflows.names import NAMESPACE

pytestmark = pytest.mark.integration


async def _reset_to_first_task(bench: Bench, run: Run) -> Run:
    history = await run.handle.fetch_history()
    first = next(e for e in history.events if e.HasField("workflow_task_completed_event_attributes"))
    answer = await bench.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=WorkflowExecution(workflow_id=run.handle.id),
            reason="test",
            workflow_task_finish_event_id=first.event_id,
            request_id=f"reset-{run.handle.id}",
        )
    )
    handle = bench.client.get_workflow_handle_for(ScriptedSaga.run, run.handle.id, run_id=answer.run_id)
    return Run(handle, run.participants, run.plan)


@pytest.mark.parametrize("after_deadline", [True, False])
@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ({}, SagaStatus.COMPLETED),
        ({"b": [Move.REFUSE]}, SagaStatus.COMPENSATED),
        ({"b": [Move.ERROR] * 3}, SagaStatus.COMPENSATED),
    ],
)
async def test_reset_to_the_first_task_does_not_change_the_outcome(
    bench: Bench, queue: str, script: dict[str, list[Move]], outcome: SagaStatus, after_deadline: bool
) -> None:
    policy = QUICK.model_copy(update={"deadline_s": 2.0 if after_deadline else 60.0})
    run = await bench.start(script=script, queue=queue, policy=policy)
    assert await run.end() is outcome
    started = (await run.handle.describe()).start_time.timestamp()
    if after_deadline:
        await eventually(lambda: time.time() > started + 2.1)

    again = await _reset_to_first_task(bench, run)

    assert await again.end() is outcome
    await again.check_clean()


@pytest.fixture
def _no_bugs_left() -> Iterator[None]:
    yield
    BUGS.clear()


@pytest.mark.usefixtures("_no_bugs_left")
async def test_bug_in_workflow_code_suspends_compensates_nothing_and_continues_after_the_fix(
    bench: Bench, queue: str
) -> None:
    BUGS.add("buggy")
    run = await bench.start(("a", "buggy", "!p", "r"), queue=queue)

    async def task_failed() -> bool:
        history = await run.handle.fetch_history()
        return any(e.HasField("workflow_task_failed_event_attributes") for e in history.events)

    await eventually(task_failed)
    assert not [call for call in run.calls if call.startswith("-")]

    BUGS.clear()

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


@pytest.mark.usefixtures("_no_bugs_left")
async def test_bug_in_a_compensation_suspends_the_unwinding_until_the_fix(bench: Bench, queue: str) -> None:
    run = await bench.start(("a", "buggy", "c", "!p", "r"), script={"p": [Move.REFUSE] * 1}, always={"-c": Move.ERROR})
    await run.until(SagaStatus.STUCK)
    BUGS.add("buggy")
    bench.participants.always.clear()
    BUGS.clear()

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()
