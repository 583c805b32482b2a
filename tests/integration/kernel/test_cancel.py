"""A cancellation is never lost, loses nothing, and comes too late after the pivot."""

import asyncio

import pytest
from temporalio.worker import Worker

from contracts.sagas import SagaStatus
from run.worker import workflow_runner
from tests.integration.kernel.bench import QUICK, Bench, Run
from tests.support.eventually import eventually
from tests.support.participants import Move
from tests.support.scripted_saga import ScriptedSaga

pytestmark = pytest.mark.integration

PATIENT = QUICK.model_copy(update={"retry_initial_s": 20.0, "retry_max_s": 20.0})
"""Back-offs so long that a test which waits for one fails."""


async def _called(run: Run, call: str, times: int = 1) -> None:
    await eventually(lambda: run.calls.count(call) >= times, within_s=20)


async def test_cancel_before_the_first_step_leaves_nothing(bench: Bench) -> None:
    run = await bench.start(queue="nobody-works-here-yet")
    await run.handle.cancel()

    async with Worker(
        bench.client,
        task_queue="nobody-works-here-yet",
        workflows=[ScriptedSaga],
        activities=[bench.participants.attempt],
        workflow_runner=workflow_runner(),
    ):
        assert await run.end() is SagaStatus.COMPENSATED

    assert run.ending["cause"] == "cancelled"
    assert run.calls == ["-p", "-b", "-a"]
    await run.check_clean()


@pytest.mark.parametrize("step", ["a", "b"])
async def test_cancel_during_an_attempt_awaits_it_and_unwinds(bench: Bench, queue: str, step: str) -> None:
    saga_id = f"cancel-wire-{queue}-{step}"
    hold = bench.participants.holds[bench.address(saga_id, step)] = asyncio.Event()
    run = await bench.start(saga_id=saga_id, queue=queue, policy=QUICK.model_copy(update={"fast_path": False}))
    await _called(run, step)

    await run.handle.cancel()
    hold.set()

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "cancelled"
    assert run.calls.count(step) == 1
    await run.check_clean()


@pytest.mark.parametrize("step", ["a", "b"])
@pytest.mark.parametrize("move", [Move.ERROR, Move.LOSE])
async def test_cancel_during_back_off_acts_at_once(bench: Bench, queue: str, step: str, move: Move) -> None:
    run = await bench.start(always={step: move}, queue=queue, policy=PATIENT)
    await _called(run, step, times=2)

    await run.handle.cancel()

    assert await asyncio.wait_for(run.end(), timeout=10) is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "cancelled"
    await run.check_clean()


async def test_cancel_during_the_pivots_back_off_fences_it(bench: Bench, queue: str) -> None:
    run = await bench.start(always={"p": Move.ERROR}, queue=queue, policy=PATIENT)
    await _called(run, "p", times=2)

    await run.handle.cancel()

    assert await asyncio.wait_for(run.end(), timeout=10) is SagaStatus.COMPENSATED
    assert run.calls[-3:] == ["-p", "-b", "-a"]
    await run.check_clean()


async def test_cancel_while_the_pivots_reply_is_lost_turns_forward(bench: Bench, queue: str) -> None:
    run = await bench.start(always={"p": Move.LOSE}, queue=queue, policy=PATIENT)
    await _called(run, "p", times=2)

    await run.handle.cancel()

    assert await asyncio.wait_for(run.end(), timeout=10) is SagaStatus.COMPLETED
    assert run.calls[-2:] == ["-p", "r"], "the fence finds the pivot done"
    await run.check_clean()


async def test_cancel_during_the_pivots_attempt_lets_its_outcome_decide(bench: Bench, queue: str) -> None:
    saga_id = f"cancel-pivot-{queue}"
    hold = bench.participants.holds[bench.address(saga_id, "p")] = asyncio.Event()
    run = await bench.start(saga_id=saga_id, queue=queue, policy=QUICK.model_copy(update={"fast_path": False}))
    await _called(run, "p")

    await run.handle.cancel()
    hold.set()

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


async def test_cancel_after_the_pivot_changes_nothing(bench: Bench, queue: str) -> None:
    run = await bench.start(script={"r": [Move.ERROR] * 5}, queue=queue)
    await _called(run, "r", times=2)

    await run.handle.cancel()

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("during", ["-p", "-b", "-a"])
async def test_cancel_during_unwinding_loses_no_compensation(bench: Bench, queue: str, times: int, during: str) -> None:
    saga_id = f"cancel-unwinding-{queue}-{times}-{during}"
    hold = bench.participants.holds[bench.address(saga_id, during)] = asyncio.Event()
    run = await bench.start(saga_id=saga_id, always={"b": Move.LOSE}, queue=queue)
    await _called(run, during)

    for _ in range(times):
        await run.handle.cancel()
    hold.set()

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "failed", "it was unwinding for its own reason already"
    await run.check_clean()
