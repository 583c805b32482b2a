"""Scenarios in which the saga goes forward, or turns on a refusal or an exhausted failure."""

import pytest

from contracts.sagas import SagaStatus
from tests.integration.kernel.bench import QUICK, Bench
from tests.support.participants import Move

pytestmark = pytest.mark.integration

STEPS = ("a", "b", "p", "r")


async def test_undisturbed_saga_completes_on_the_fast_path(bench: Bench, queue: str) -> None:
    run = await bench.start(queue=queue)

    assert await run.end() is SagaStatus.COMPLETED
    assert run.calls == ["a", "b", "p", "r"]
    history = await run.handle.fetch_history()
    assert len(history.events) == 4 + 4 + 1 + 1  # start and task; markers; status; end
    await run.check_clean()


@pytest.mark.parametrize("step", ["a", "b", "p"])
async def test_refusal_at_a_step_compensates_what_came_before(bench: Bench, queue: str, step: str) -> None:
    run = await bench.start(script={step: [Move.REFUSE]}, queue=queue)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "refused"
    assert run.ending["failure"] == {"step": step, "code": "NO", "message": "refused"}
    assert "-p" not in run.calls, "after a declared refusal no fence is needed"
    await run.check_clean()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("move", [Move.ERROR, Move.LOSE, Move.LATE])
async def test_action_that_fails_once_goes_on_durably_and_completes(
    bench: Bench, queue: str, step: str, move: Move
) -> None:
    run = await bench.start(script={step: [move]}, queue=queue)

    assert await run.end() is SagaStatus.COMPLETED
    assert run.calls.count(step) == 2
    await run.check_clean()


@pytest.mark.parametrize("step", ["a", "b"])
@pytest.mark.parametrize("move", [Move.ERROR, Move.LOSE, Move.LATE])
async def test_action_that_fails_for_good_is_swept_whatever_it_did(
    bench: Bench, queue: str, step: str, move: Move
) -> None:
    run = await bench.start(always={step: move}, queue=queue)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "failed"
    assert run.calls.count(step) == 3
    assert run.calls[-3:] == ["-p", "-b", "-a"], "fence first, then everything, whether or not it ran"
    await run.check_clean()


async def test_single_attempt_that_times_out_has_failed_and_missed_no_deadline(bench: Bench, queue: str) -> None:
    policy = QUICK.model_copy(update={"action_attempts": 1, "deadline_s": 60.0})
    run = await bench.start(script={"a": [Move.LATE]}, queue=queue, policy=policy)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "failed"
    await run.check_clean()
