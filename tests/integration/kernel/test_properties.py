"""Generated definitions, generated outcomes: the end is the predicted one, and leaves a clean slate."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from temporalio.service import RPCError

from contracts.sagas import SagaStatus
from tests.integration.kernel.bench import COLD, QUICK, WARM, Bench, Run
from tests.support.participants import Move
from workflows.saga.attempts import TIMED_OUT

pytestmark = pytest.mark.integration

POLICY = QUICK.model_copy(update={"attempt_timeout_s": 1.5, "ask_interval_s": 0.3})
"""An attempt that is meant to succeed must not time out on a busy machine: it could be the last one."""
ANY = st.sampled_from([Move.DO, Move.ERROR, Move.LOSE, Move.REFUSE, Move.LATE])
ANY_OR_ACCEPT = st.sampled_from([Move.ACCEPT, Move.ACCEPT, Move.DO, Move.ERROR, Move.LOSE, Move.REFUSE, Move.LATE])
INSISTED = st.sampled_from([Move.DO, Move.ERROR, Move.LOSE])


@dataclass(frozen=True)
class Conclusion:
    """What comes of an accepted action."""

    refused: bool
    by_event: bool
    """Or else only who asks hears of it."""


@dataclass(frozen=True)
class Case:
    places: tuple[str, ...]
    script: dict[str, list[Move]]
    conclusions: dict[str, Conclusion]
    """Of the steps that may be accepted."""
    cancel_after_calls: int | None
    queue: str


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = iter("abcdefghijklmno")

    def place(largest: int) -> list[str]:
        return [next(names) for _ in range(draw(st.integers(1, largest)))]

    before = [place(3) for _ in range(draw(st.integers(1, 3)))]
    has_pivot = draw(st.booleans())
    after = [place(2) for _ in range(draw(st.integers(0, 1)))] if has_pivot else []
    script: dict[str, list[Move]] = {}
    conclusions: dict[str, Conclusion] = {}
    for name in (name for group in before for name in group):
        if draw(st.booleans()):
            conclusions[name] = Conclusion(draw(st.booleans()), draw(st.booleans()))
        script[name] = draw(st.lists(ANY_OR_ACCEPT if name in conclusions else ANY, max_size=3))
        script[f"-{name}"] = draw(st.lists(INSISTED, max_size=4))
    if has_pivot:
        script["p"] = draw(st.lists(ANY, max_size=4))
        script["-p"] = draw(st.lists(INSISTED, max_size=4))
    for name in (name for group in after for name in group):
        script[name] = draw(st.lists(INSISTED, max_size=4))
    written = [[f"{name}?" if name in conclusions else name for name in group] for group in before]
    places = ["|".join(group) for group in written] + ["!p"] * has_pivot + ["|".join(group) for group in after]
    return Case(
        tuple(places),
        script,
        conclusions,
        draw(st.none() | st.integers(0, 6)),
        draw(st.sampled_from([WARM, WARM, WARM, COLD])),
    )


def predicted(case: Case) -> SagaStatus:
    """What the end must be if nobody cancels: a model of its own, not the kernel's code."""
    for place in case.places:
        for name in place.removeprefix("!").replace("?", "").split("|"):
            moves = case.script[name] + [Move.DO] * 10
            if place != "!p" and case.places.index(place) < _pivot_index(case):
                moves = moves[: POLICY.action_attempts]
            acted = False
            for move in moves:
                if move is Move.REFUSE and not acted:
                    return SagaStatus.COMPENSATED
                if move is Move.ACCEPT and case.conclusions[name].refused:
                    return SagaStatus.COMPENSATED
                if move in (Move.DO, Move.REFUSE, Move.ACCEPT):
                    break
                acted = acted or move is Move.LOSE
            else:
                return SagaStatus.COMPENSATED
    return SagaStatus.COMPLETED


def _pivot_index(case: Case) -> int:
    return case.places.index("!p") if "!p" in case.places else len(case.places)


async def _run(bench: Bench, case: Case) -> None:
    run = await bench.start(case.places, case.script, queue=case.queue, policy=POLICY)
    concluding = asyncio.create_task(_conclude(run, case))
    if case.cancel_after_calls is not None:
        await _cancel_after(run, case.cancel_after_calls)
    await run.end()
    concluding.cancel()
    await run.check_clean()
    if case.cancel_after_calls is None and not _stood_still(run, case):
        assert await run.end() is predicted(case), f"{case}; calls: {run.calls}"


def _stood_still(run: Run, case: Case) -> bool:
    """Whether an attempt that was to come in time did not: the machine had something else to do."""
    failure = run.ending.get("failure")
    return (
        isinstance(failure, dict)
        and failure["code"] == TIMED_OUT
        and Move.LATE not in case.script[str(failure["step"])]
    )


async def _conclude(run: Run, case: Case) -> None:
    """Each accepted action comes to its conclusion soon."""
    while True:
        for name, conclusion in case.conclusions.items():
            key = f"{run.handle.id}:{name}"
            if key in run.participants.accepted:
                run.participants.conclude(key, refused=conclusion.refused)
                if conclusion.by_event:
                    with suppress(RPCError):  # it has ended meanwhile
                        await run.send_event(name, refused=conclusion.refused)
        await asyncio.sleep(0.02)


async def _cancel_after(run: Run, calls: int) -> None:
    end = asyncio.ensure_future(run.end())
    while len(run.calls) < calls and not end.done():
        await asyncio.sleep(0.001)
    await run.handle.cancel()
    await end


@given(st.lists(cases(), min_size=6, max_size=12))
@settings(
    max_examples=9, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)
async def test_any_saga_under_any_outcomes_ends_as_predicted_with_a_clean_slate(
    bench: Bench, batch: list[Case]
) -> None:
    # A worker without a cache takes one saga at a time; the others would only wait for it.
    await asyncio.gather(
        *(_run(bench, case) for case in batch if case.queue == WARM),
        _one_by_one(bench, [case for case in batch if case.queue == COLD]),
    )


async def _one_by_one(bench: Bench, cases: list[Case]) -> None:
    for case in cases:
        await _run(bench, case)
