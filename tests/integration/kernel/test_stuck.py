"""What must not fail is insisted on, shows as stuck, and takes an operator's decision."""

import asyncio
import time

import pytest
from temporalio.client import WorkflowUpdateFailedError

from contracts.sagas import DecisionKind, SagaStatus
from tests.integration.kernel.bench import QUICK, Bench
from tests.support.eventually import eventually
from tests.support.participants import Move

pytestmark = pytest.mark.integration

FOREVER = {"retry_initial_s": 300.0, "retry_max_s": 300.0, "stuck_after": 1}


@pytest.mark.parametrize("undo", ["-a", "-b"])
@pytest.mark.parametrize("move", [Move.ERROR, Move.LOSE, Move.LATE])
async def test_compensation_that_fails_a_few_times_is_retried(bench: Bench, queue: str, undo: str, move: Move) -> None:
    run = await bench.start(script={"p": [Move.REFUSE], undo: [move] * 2}, queue=queue)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.calls.count(undo) == 3
    await run.check_clean()


@pytest.mark.parametrize("move", [Move.ERROR, Move.REFUSE])
async def test_stuck_compensation_does_not_keep_the_others_from_running(bench: Bench, queue: str, move: Move) -> None:
    run = await bench.start(script={"p": [Move.REFUSE]}, always={"-b": move}, queue=queue)
    await run.until(SagaStatus.STUCK)
    await eventually(lambda: "-a" in run.calls)
    assert run.live == {"b"}

    bench.participants.always.clear()
    await run.decide("b", DecisionKind.RETRY)

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()


async def test_stuck_pivot_that_is_refused_in_the_end_unwinds_and_needs_no_operator(bench: Bench, queue: str) -> None:
    run = await bench.start(script={"p": [Move.ERROR] * 8 + [Move.REFUSE]}, queue=queue)

    assert await asyncio.wait_for(run.end(), 30) is SagaStatus.COMPENSATED
    await run.check_clean()


async def test_stuck_compensation_whose_fault_ends_needs_no_operator(bench: Bench, queue: str) -> None:
    run = await bench.start(script={"p": [Move.REFUSE], "-b": [Move.ERROR] * 8}, queue=queue)

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()


@pytest.mark.parametrize("move", [Move.ERROR, Move.REFUSE])
async def test_skipped_compensation_ends_forced_and_lists_the_residue(bench: Bench, queue: str, move: Move) -> None:
    run = await bench.start(script={"p": [Move.REFUSE]}, always={"-b": move}, queue=queue)
    await run.until(SagaStatus.STUCK)

    await run.decide("b", DecisionKind.SKIP)

    assert await run.end() is SagaStatus.FORCED
    assert run.ending["residue"] == [{"step": "b", "phase": "compensation"}]
    assert run.live == {"b"}
    assert await run.status() == SagaStatus.FORCED
    await run.replay()


async def test_decision_about_an_attempt_that_did_it_after_all_is_moot(bench: Bench) -> None:
    policy = QUICK.model_copy(update={"stuck_after": 1, "fast_path": False, "attempt_timeout_s": 5.0})
    saga_id = "moot-decision"
    run = await bench.start(saga_id=saga_id, script={"p": [Move.REFUSE], "-b": [Move.ERROR]}, policy=policy)
    hold = bench.participants.holds[bench.address(saga_id, "-b")] = asyncio.Event()
    await run.until(SagaStatus.STUCK)
    await eventually(lambda: run.calls.count("-b") == 2)

    await run.decide("b", DecisionKind.SKIP)
    hold.set()

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()


async def test_several_stuck_compensations_are_decided_one_by_one(bench: Bench, queue: str) -> None:
    run = await bench.start(script={"p": [Move.REFUSE]}, always={"-a": Move.REFUSE, "-b": Move.REFUSE}, queue=queue)
    await eventually(lambda: {"-a", "-b"} <= set(run.calls))
    await run.until(SagaStatus.STUCK)

    async def decided(step: str, decision: DecisionKind) -> bool:
        try:
            await run.decide(step, decision)
        except WorkflowUpdateFailedError:
            return False
        return True

    await eventually(lambda: decided("b", DecisionKind.SKIP))
    assert await run.status() == SagaStatus.STUCK
    await eventually(lambda: decided("a", DecisionKind.SKIP))

    assert await run.end() is SagaStatus.FORCED
    assert len(run.ending["residue"]) == 2  # type: ignore[arg-type]
    await run.replay()


@pytest.mark.parametrize("move", [Move.ERROR, Move.REFUSE])
async def test_stuck_retriable_step_goes_on_after_a_retry(bench: Bench, queue: str, move: Move) -> None:
    run = await bench.start(always={"r": move}, queue=queue)
    await run.until(SagaStatus.STUCK)

    bench.participants.always.clear()
    bench.participants.refused.clear()
    await run.decide("r", DecisionKind.RETRY)

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


async def test_skipped_retriable_step_ends_forced(bench: Bench, queue: str) -> None:
    run = await bench.start(always={"r": Move.ERROR}, queue=queue)
    await run.until(SagaStatus.STUCK)

    await run.decide("r", DecisionKind.SKIP)

    assert await run.end() is SagaStatus.FORCED
    assert run.ending["residue"] == [{"step": "r", "phase": "action"}]
    await run.replay()


async def test_stuck_pivot_never_unwinds_by_itself_not_even_after_the_deadline(bench: Bench, queue: str) -> None:
    policy = QUICK.model_copy(update={"deadline_s": 1.5})
    run = await bench.start(always={"p": Move.ERROR}, queue=queue, policy=policy)
    await run.until(SagaStatus.STUCK)
    started = (await run.handle.describe()).start_time.timestamp()
    await eventually(lambda: time.time() > started + 2)
    assert await run.status() == SagaStatus.STUCK

    bench.participants.always.clear()

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


@pytest.mark.parametrize("move", [Move.ERROR, Move.LOSE])
async def test_given_up_pivot_is_fenced_and_then_decides(bench: Bench, queue: str, move: Move) -> None:
    run = await bench.start(always={"p": move}, queue=queue, policy=QUICK.model_copy(update=FOREVER))
    await run.until(SagaStatus.STUCK)

    await run.decide("p", DecisionKind.GIVE_UP)

    expected = SagaStatus.COMPLETED if move is Move.LOSE else SagaStatus.COMPENSATED
    assert await run.end() is expected
    await run.check_clean()


@pytest.mark.parametrize(
    ("stuck", "step", "decision"),
    [
        ("p", "p", DecisionKind.SKIP),
        ("r", "r", DecisionKind.GIVE_UP),
        ("r", "a", DecisionKind.RETRY),
        ("r", "nonsense", DecisionKind.RETRY),
    ],
)
async def test_decision_that_makes_no_sense_is_turned_away(
    bench: Bench, stuck: str, step: str, decision: DecisionKind
) -> None:
    run = await bench.start(always={stuck: Move.ERROR})
    await run.until(SagaStatus.STUCK)

    with pytest.raises(WorkflowUpdateFailedError):
        await run.decide(step, decision)

    bench.participants.always.clear()
    await run.check_clean()


async def test_stuck_fence_holds_back_all_compensations(bench: Bench, queue: str) -> None:
    run = await bench.start(always={"b": Move.LOSE, "-p": Move.REFUSE}, queue=queue)
    await run.until(SagaStatus.STUCK)
    assert not {"-a", "-b"} & set(run.calls)

    bench.participants.always.clear()
    await run.decide("p", DecisionKind.RETRY)

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()
