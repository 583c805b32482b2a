"""Parallel places: one branch turns the saga, the others stop at once, and the group is compensated as a whole."""

import asyncio

import pytest

from contracts.sagas import SagaStatus
from tests.integration.kernel.bench import QUICK, Bench
from tests.support.eventually import eventually
from tests.support.participants import Move

pytestmark = pytest.mark.integration

PLACES = ("a", "b|c|d", "!p", "r|s")


async def test_group_completes(bench: Bench, queue: str) -> None:
    run = await bench.start(PLACES, queue=queue)

    assert await run.end() is SagaStatus.COMPLETED
    assert set(run.calls[1:4]) == {"b", "c", "d"}
    await run.check_clean()


@pytest.mark.parametrize("move", [Move.REFUSE, Move.LOSE])
async def test_branch_that_turns_the_saga_stops_the_retries_of_the_others(bench: Bench, queue: str, move: Move) -> None:
    policy = QUICK.model_copy(update={"action_attempts": 20, "retry_initial_s": 0.3, "retry_max_s": 0.3})
    turning = [Move.REFUSE] if move is Move.REFUSE else []
    quick = policy.model_copy(update={"action_attempts": 1}) if move is Move.LOSE else policy
    run = await bench.start(
        PLACES,
        script={"c": turning} if turning else {},
        always={"b": Move.ERROR} if turning else {"c": move},
        queue=queue,
        policy=quick,
    )

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.calls.count("b") <= 3
    assert {"-b", "-c", "-d", "-a"} <= set(run.calls)
    assert run.calls.index("-a") > max(run.calls.index(f"-{step}") for step in "bcd")
    await run.check_clean()


async def test_attempt_on_the_wire_in_another_branch_is_awaited_before_the_group_is_compensated(bench: Bench) -> None:
    saga_id = "group-wire"
    hold = bench.participants.holds[bench.address(saga_id, "b", PLACES)] = asyncio.Event()
    policy = QUICK.model_copy(update={"fast_path": False, "attempt_timeout_s": 10.0})
    run = await bench.start(PLACES, saga_id=saga_id, script={"c": [Move.REFUSE]}, policy=policy)
    await eventually(lambda: {"b", "c", "d"} <= set(run.calls))

    async def cancel_requested() -> bool:
        history = await run.handle.fetch_history()
        return any(e.HasField("activity_task_cancel_requested_event_attributes") for e in history.events)

    await eventually(cancel_requested)
    assert "-c" not in run.calls

    hold.set()

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()
