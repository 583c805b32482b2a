"""The deadline bounds everything before the pivot, and nothing after it."""

import asyncio
import time
from uuid import uuid4

import pytest
from temporalio.worker import Worker

from contracts.sagas import SagaStatus
from run.worker import workflow_runner
from tests.integration.kernel.bench import QUICK, Bench, Run
from tests.support.eventually import eventually
from tests.support.participants import Move
from tests.support.scripted_saga import ScriptedSaga

pytestmark = pytest.mark.integration


async def _past_deadline(run: Run) -> None:
    started = (await run.handle.describe()).start_time.timestamp()
    await eventually(lambda: time.time() > started + run.plan.policy.deadline_s + 0.1)


@pytest.mark.parametrize("move", [Move.ERROR, Move.LOSE])
@pytest.mark.parametrize("step", ["a", "b"])
async def test_retries_cut_short_by_the_deadline_unwind(bench: Bench, queue: str, step: str, move: Move) -> None:
    policy = QUICK.model_copy(update={"deadline_s": 1.0, "action_attempts": 10_000, "retry_max_s": 0.1})
    run = await bench.start(always={step: move}, queue=queue, policy=policy)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "deadline"
    await run.check_clean()


async def test_attempt_slower_than_the_deadline_unwinds(bench: Bench, queue: str) -> None:
    policy = QUICK.model_copy(update={"deadline_s": 0.8, "attempt_timeout_s": 20.0})
    run = await bench.start(always={"b": Move.LATE}, queue=queue, policy=policy)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "deadline"
    await run.check_clean()


@pytest.mark.parametrize(("last", "next_step"), [(None, "a"), ("a", "b"), ("b", "p"), ("p", "r")])
async def test_deadline_that_passes_between_two_steps(bench: Bench, last: str | None, next_step: str) -> None:
    """The workflow worker is away while the deadline passes; an activity worker lets the last step end in time."""
    saga_id = f"deadline-before-{next_step}-{uuid4()}"
    hold = asyncio.Event()
    if last is not None:
        bench.participants.holds[bench.address(saga_id, last)] = hold
    workflows = {"task_queue": saga_id, "workflows": [ScriptedSaga], "workflow_runner": workflow_runner()}
    activities = Worker(bench.client, task_queue=saga_id, activities=[bench.participants.attempt])
    policy = QUICK.model_copy(update={"fast_path": False, "deadline_s": 3.0, "attempt_timeout_s": 10.0})

    async with activities:
        run = await bench.start(saga_id=saga_id, queue=saga_id, policy=policy)
        if last is not None:
            async with Worker(bench.client, disable_eager_activity_execution=True, **workflows):  # type: ignore[arg-type]
                await eventually(lambda: last in run.calls)
            hold.set()
        await _past_deadline(run)
        assert next_step not in run.calls
        async with Worker(bench.client, disable_eager_activity_execution=True, **workflows):  # type: ignore[arg-type]
            status = await run.end()

    if next_step == "r":
        assert status is SagaStatus.COMPLETED, "after the pivot there is no deadline"
    else:
        assert status is SagaStatus.COMPENSATED
        assert run.ending["cause"] == "deadline"
        assert next_step not in run.calls
    await run.check_clean()
