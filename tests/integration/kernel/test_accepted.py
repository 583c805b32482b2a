"""Actions that are accepted, and whose outcome an event brings: early, late, twice, or never."""

import asyncio

import pytest

from contracts.policy import Policy
from contracts.sagas import DecisionKind, SagaStatus
from tests.integration.kernel.bench import QUICK, Bench, Run
from tests.support.eventually import eventually
from tests.support.participants import Move
from workflows.names import STEP_OUTCOME

pytestmark = pytest.mark.integration

PLACES = ("a", "b?", "!p", "r")
PATIENT = QUICK.model_copy(update={"ask_interval_s": 600.0})
"""Who asks meanwhile does so in vain: nothing but the event can end the wait in time."""
ASKING = QUICK.model_copy(update={"ask_interval_s": 0.1})


async def accepted(
    bench: Bench, queue: str, policy: Policy = PATIENT, places: tuple[str, ...] = PLACES, saga_id: str | None = None
) -> Run:
    """A saga that waits for an event about step b."""
    script = {"b": [Move.ACCEPT]}
    run = await bench.start(places, script, queue=queue, policy=policy, saga_id=saga_id)
    await eventually(lambda: f"{run.handle.id}:b" in bench.participants.accepted, within_s=20)
    return run


@pytest.mark.parametrize("fast_path", [True, False])
async def test_accepted_action_is_done_when_its_event_comes_and_nobody_asks(
    bench: Bench, queue: str, fast_path: bool
) -> None:
    run = await accepted(bench, queue, PATIENT.model_copy(update={"fast_path": fast_path}))

    await run.tell("b")

    assert await run.end() is SagaStatus.COMPLETED
    assert run.calls == ["a", "b", "p", "r"]
    await run.check_clean()


async def test_accepted_action_is_refused_by_its_event(bench: Bench, queue: str) -> None:
    run = await accepted(bench, queue)

    await run.tell("b", refused=True)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending == {"cause": "refused", "failure": {"step": "b", "code": "NO", "message": "refused by event"}}
    assert run.calls == ["a", "b", "-b", "-a"], "after a refusal no fence is needed"
    await run.check_clean()


async def test_event_that_comes_before_the_wait_is_kept(bench: Bench, queue: str) -> None:
    saga_id = f"early-{queue}"
    hold = bench.participants.holds[bench.address(saga_id, "b", PLACES)] = asyncio.Event()
    policy = PATIENT.model_copy(update={"fast_path": False})
    run = await bench.start(PLACES, {"b": [Move.ACCEPT]}, queue=queue, policy=policy, saga_id=saga_id)
    await eventually(lambda: "b" in run.calls, within_s=20)
    await run.send_event("b")

    hold.set()

    assert await run.end() is SagaStatus.COMPLETED
    assert run.calls == ["a", "b", "p", "r"]
    await run.replay()


async def test_event_that_comes_twice_counts_once(bench: Bench, queue: str) -> None:
    saga_id = f"twice-{queue}"
    hold = bench.participants.holds[bench.address(saga_id, "p", PLACES)] = asyncio.Event()
    policy = PATIENT.model_copy(update={"fast_path": False})
    run = await accepted(bench, queue, policy, saga_id=saga_id)

    await run.tell("b")
    await eventually(lambda: "p" in run.calls, within_s=20)
    await run.send_event("b")
    await run.send_event("b", refused=True)
    hold.set()

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


@pytest.mark.parametrize("arguments", [[], [None], [{"step": 7}], ["b", "done"], [{"step": "c", "event": "x"}, 1]])
async def test_signal_that_makes_no_sense_is_ignored(bench: Bench, queue: str, arguments: list[object]) -> None:
    run = await accepted(bench, queue)
    await run.handle.signal(STEP_OUTCOME, args=arguments)

    await run.tell("b")

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


async def test_service_is_asked_at_intervals_when_no_event_comes(bench: Bench, queue: str) -> None:
    run = await accepted(bench, queue, ASKING)
    await eventually(lambda: run.calls.count("b") >= 3, within_s=20)

    bench.participants.conclude(f"{run.handle.id}:b")

    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()


async def test_service_that_answers_a_refusal_when_asked_turns_the_saga(bench: Bench, queue: str) -> None:
    run = await accepted(bench, queue, ASKING)

    bench.participants.conclude(f"{run.handle.id}:b", refused=True)

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "refused"
    await run.check_clean()


async def test_service_that_cannot_be_asked_ends_no_wait(bench: Bench, queue: str) -> None:
    run = await accepted(bench, queue, ASKING)
    key = bench.address(run.handle.id, "b", PLACES)
    bench.participants.always[key] = Move.ERROR
    before = run.calls.count("b")
    await eventually(lambda: run.calls.count("b") > before + QUICK.action_attempts, within_s=20)

    await run.tell("b")

    assert await run.end() is SagaStatus.COMPLETED
    await run.replay()


@pytest.mark.parametrize("policy", [PATIENT, ASKING], ids=["waiting", "asking"])
async def test_deadline_that_passes_during_the_wait_unwinds_and_the_late_outcome_is_dropped(
    bench: Bench, queue: str, policy: Policy
) -> None:
    run = await accepted(bench, queue, policy.model_copy(update={"deadline_s": 1.5}))

    assert await run.end() is SagaStatus.COMPENSATED

    assert run.ending["cause"] == "deadline"
    assert run.calls[-3:] == ["-p", "-b", "-a"]
    bench.participants.conclude(f"{run.handle.id}:b")
    await run.check_clean()


async def test_event_that_comes_while_unwinding_changes_nothing(bench: Bench, queue: str) -> None:
    saga_id = f"unwinding-{queue}"
    hold = bench.participants.holds[bench.address(saga_id, "-b", PLACES)] = asyncio.Event()
    run = await accepted(bench, queue, saga_id=saga_id)
    await run.handle.cancel()
    await eventually(lambda: "-b" in run.calls, within_s=20)

    await run.tell("b")
    hold.set()

    assert await run.end() is SagaStatus.COMPENSATED
    await run.check_clean()


async def test_cancel_ends_the_wait_at_once(bench: Bench, queue: str) -> None:
    run = await accepted(bench, queue)

    await run.handle.cancel()

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "cancelled"
    assert run.calls == ["a", "b", "-p", "-b", "-a"]
    await run.check_clean()


async def test_sibling_that_fails_ends_the_wait_and_the_group_is_compensated(bench: Bench, queue: str) -> None:
    saga_id = f"sibling-{queue}"
    places = ("b?|c", "!p", "r")
    hold = bench.participants.holds[bench.address(saga_id, "c", places)] = asyncio.Event()
    script = {"b": [Move.ACCEPT], "c": [Move.REFUSE]}
    policy = PATIENT.model_copy(update={"fast_path": False})
    run = await bench.start(places, script, queue=queue, policy=policy, saga_id=saga_id)
    await eventually(lambda: f"{saga_id}:b" in bench.participants.accepted, within_s=20)

    hold.set()

    assert await run.end() is SagaStatus.COMPENSATED
    assert run.ending["cause"] == "refused"
    assert set(run.calls[-2:]) == {"-b", "-c"}
    await run.check_clean()


@pytest.mark.parametrize("step", ["p", "r"])
async def test_step_that_may_not_be_accepted_fails_for_it_and_goes_on(bench: Bench, queue: str, step: str) -> None:
    run = await bench.start(script={step: [Move.ACCEPT]}, queue=queue)
    await run.until(SagaStatus.STUCK)

    bench.participants.conclude(f"{run.handle.id}:{step}")

    await run.decide(step, DecisionKind.RETRY)
    assert await run.end() is SagaStatus.COMPLETED
    await run.check_clean()
