"""A reset changes no outcome, and a bug in workflow code compensates nothing."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from contracts.sagas import SagaStatus
from tests.integration.kernel.bench import QUICK, Bench, Run
from tests.support.eventually import eventually
from tests.support.participants import BUGS, Move
from tests.support.reset import reset_to_first_task
from tests.support.scripted_saga import ScriptedSaga

pytestmark = pytest.mark.integration

WITH_A_BUG = ("a", "buggy", "c", "!p", "r")


async def _reset(bench: Bench, run: Run) -> Run:
    run_id = await reset_to_first_task(bench.client, run.handle)
    handle = bench.client.get_workflow_handle_for(ScriptedSaga.run, run.handle.id, run_id=run_id)
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

    again = await _reset(bench, run)

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
    run = await bench.start(WITH_A_BUG, queue=queue)

    await eventually(lambda: _task_failed(run))
    assert not [call for call in run.calls if call.startswith("-")]

    BUGS.clear()

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


@pytest.mark.usefixtures("_no_bugs_left")
async def test_bug_in_a_compensation_suspends_the_unwinding_until_the_fix(bench: Bench, queue: str) -> None:
    saga_id = f"bug-in-undo-{queue}"
    hold = bench.participants.holds[bench.address(saga_id, "-c", WITH_A_BUG)] = asyncio.Event()
    run = await bench.start(WITH_A_BUG, saga_id=saga_id, script={"p": [Move.REFUSE]}, queue=queue)
    await eventually(lambda: "-c" in run.calls)
    BUGS.add("buggy")
    hold.set()

    await eventually(lambda: _task_failed(run))
    assert "-a" not in run.calls

    BUGS.clear()

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()


async def _task_failed(run: Run) -> bool:
    history = await run.handle.fetch_history()
    return any(e.HasField("workflow_task_failed_event_attributes") for e in history.events)
