"""THE KERNEL: takes a saga through its definition, forward to its end or back to a clean slate.

Guarantees:
- A step counts as having possibly happened from the moment it could have started; nothing is ever dropped from what is
  to be undone because an attempt failed.
- Unwinding starts only on a refusal, an exhausted failure, a cancellation or the deadline. A bug in workflow code
  suspends the workflow, and compensates nothing.
- Unwinding for anything but a declared refusal first fences the pivot; if the pivot has already happened, the saga
  turns forward. Its first act is a regular activity, so the turn is on record before anything is undone.
- Unwinding sweeps every compensatable step of the definition (after a refusal: up to the refused place), whether or
  not this run remembers it. A local activity is recorded only when its workflow task completes, so a run may remember
  less than was done: after a worker's death, a freeze, a reset.
- Unwinding is drained: no cancellation reaches it, and a stuck compensation does not keep the others from running.
- A technical failure at the pivot never unwinds by itself.
- An action that a service accepted may have happened, whatever comes of the wait for its outcome.

The pattern is the saga of Garcia-Molina and Salem (1987), with the pivot and the retriable steps of Richardson's
"Microservices Patterns"; `docs/sagas.md` derives fence and sweep.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from contracts.base import Contract
from contracts.faults import Fault, Phase
from contracts.policy import Policy
from contracts.sagas import Cause, Residue, SagaStatus, StepFailure, StepKind, StepState
from contracts.wire import ALREADY_COMPENSATED, Outcome
from workflows.names import SAGA_COMPENSATED, SAGA_FORCED
from workflows.saga.attempts import Done, Failed, Interrupted, Refused, Settled
from workflows.saga.calls import Calls
from workflows.saga.definition import Parallel, SagaDefinition, Step
from workflows.saga.insistence import GoneWithout, Insistence
from workflows.saga.outcomes import Outcomes
from workflows.saga.progress import Progress
from workflows.saga.statuses import Happening

_NO_TIME = timedelta(0)


class SagaResult(Contract):
    """The result of a workflow whose saga completed."""

    status: SagaStatus


@dataclass(frozen=True, slots=True)
class Turn:
    """Why a saga turns to unwinding, and from which place on there can be nothing to undo."""

    cause: Cause
    failure: StepFailure | None
    refused_at: int | None = None
    """The place of a declared refusal. It is stored in the service, so no run of this saga can have got past it."""


class Saga:
    """One run of a definition. Make it in the workflow's run method, and await `run()` there, once.

    `order` is what the definition's commands are built from.
    """

    def __init__(
        self, definition: SagaDefinition, order: Any, *, policy: Policy, faults: tuple[Fault, ...] = ()
    ) -> None:
        self._definition = definition
        self._policy = policy
        self._progress = Progress(step.name for step in definition.steps)
        self._calls = Calls(order, policy, faults)
        self._outcomes = Outcomes()
        self._insistence = Insistence(definition, self._calls, self._progress)
        self._halted: set[str] = set()
        self._residue: list[Residue] = []

    async def run(self) -> SagaResult:
        """Runs the saga to its end.

        Raises:
            ApplicationError: of type SagaCompensated or SagaForced.
            asyncio.CancelledError: it ended compensated because it was cancelled.
        """
        # Temporal delivers a cancellation by cancelling the task that runs the workflow. The saga runs in a task of
        # its own, so a cancellation is a flag to it, at which it looks where that makes sense, and never an exception.
        body = asyncio.create_task(self._run())
        while not body.done():
            try:
                await asyncio.shield(body)
            except asyncio.CancelledError:
                self._calls.cancel()
        return body.result()

    async def _run(self) -> SagaResult:
        turn = await self._forward(self._definition.places)
        if turn is not None:
            self._progress.turn(turn.cause, turn.failure)
            if await self._fence(turn):
                await self._sweep(turn)
                self._end_unwound(turn)
            self._progress.turn_forward()
            await self._forward(self._definition.places_after_pivot)
        self._progress.end(Happening.FORCE if self._residue else Happening.COMPLETE)
        if self._residue:
            self._raise_forced(None)
        return SagaResult(status=self._progress.status)

    # Forward

    async def _forward(self, places: tuple[Parallel, ...]) -> Turn | None:
        for place in places:
            turns = await asyncio.gather(*(self._act(step, place) for step in place))
            for turn in turns:
                if turn is not None:
                    return turn
        return None

    async def _act(self, step: Step, place: Parallel) -> Turn | None:
        if step.kind is StepKind.RETRIABLE:
            self._progress.step(step.name, StepState.STARTED)
            settled = await self._insistence.insist(step, Phase.ACTION, fast=self._policy.fast_path)
            self._conclude(step, Phase.ACTION, settled, StepState.SUCCEEDED)
            return None
        if self._calls.cancelled:
            return Turn(Cause.CANCELLED, None)
        if self._calls.time_left() <= _NO_TIME:
            return self._turn(step, Failed("DEADLINE", "the deadline passed before the step", out_of_time=True))
        self._progress.step(step.name, StepState.STARTED)
        if step.kind is StepKind.PIVOT:
            turn = self._turn(step, await self._insistence.insist(step, Phase.ACTION, fast=self._policy.fast_path))
        else:
            turn = self._turn(step, await self._attempt(step))
        if turn is not None:
            for other in place:
                self._halted.add(other.name)
                self._calls.interrupt(other.name)
        return turn

    async def _attempt(self, step: Step) -> Settled:
        """Attempts a compensatable action, and waits for its outcome where it is only accepted."""
        settled = await self._attempt_in_time(step)
        while isinstance(settled, Done) and settled.reply.outcome is Outcome.ACCEPTED:
            self._progress.step(step.name, StepState.WAITING)
            settled = await self._outcome(step, settled)
        return settled

    async def _outcome(self, step: Step, accepted: Done) -> Settled:
        """The outcome of an accepted action as its event tells it, or else as the service does when asked."""
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._outcomes.of(step) is not None or self._gives_up(step),
                timeout=min(timedelta(seconds=self._policy.ask_interval_s), max(self._calls.time_left(), _NO_TIME)),
                timeout_summary=f"{step.name} waits for {step.done_by}",
            )
        told = self._outcomes.of(step)
        if told is not None:
            return told
        if self._gives_up(step):
            return Interrupted()
        time_left = self._calls.time_left()
        if time_left <= _NO_TIME:
            return Failed("DEADLINE", "the deadline passed before its outcome was known", out_of_time=True)
        with self._calls.attempts(step, Phase.ACTION) as attempts:
            settled = await attempts.durable(1, time_left)
        # It was accepted, so an event may still come when nobody can be asked.
        return accepted if isinstance(settled, Failed) else settled

    def _gives_up(self, step: Step) -> bool:
        return self._calls.cancelled or step.name in self._halted

    async def _attempt_in_time(self, step: Step) -> Settled:
        """As often as the policy allows, until the deadline or an interruption."""
        left = self._policy.action_attempts
        settled: Settled = Interrupted()
        with self._calls.attempts(step, Phase.ACTION) as attempts:
            if self._policy.fast_path:
                settled = await attempts.fast(self._calls.time_left())
                left -= 1
            if isinstance(settled, Done | Refused) or left == 0:
                return settled
            if self._gives_up(step):
                return Interrupted()
            time_left = self._calls.time_left()
            if time_left <= _NO_TIME:
                return replace(settled, out_of_time=True) if isinstance(settled, Failed) else settled
            return await attempts.durable(left, time_left)

    def _turn(self, step: Step, settled: Settled | GoneWithout) -> Turn | None:
        """What the outcome of a step before or at the pivot means for the saga."""
        failure: StepFailure | None = None
        match settled:
            case Done():
                self._progress.step(step.name, StepState.SUCCEEDED)
                return None
            case Interrupted():
                # Where a parallel step turned the saga, that one tells why.
                return Turn(Cause.CANCELLED, None) if self._calls.cancelled else None
            case Refused(code, message):
                self._progress.step(step.name, StepState.REFUSED)
                failure = StepFailure(step=step.name, code=code, message=message)
                if code == ALREADY_COMPENSATED:
                    # Another run of this saga has begun to unwind, from further on than this one knows.
                    return Turn(Cause.REFUSED, failure)
                return Turn(Cause.REFUSED, failure, refused_at=self._definition.place_of(step))
            case Failed(code, message, out_of_time):
                self._progress.step(step.name, StepState.FAILED)
                failure = StepFailure(step=step.name, code=code, message=message)
                return Turn(Cause.DEADLINE if out_of_time else Cause.FAILED, failure)
            case GoneWithout(last):
                self._progress.step(step.name, StepState.FAILED)
                return Turn(Cause.FAILED, last)

    # Backward

    async def _fence(self, turn: Turn) -> bool:
        """Makes sure that the pivot never happens. False if it has happened already."""
        pivot = self._definition.pivot
        if pivot is None or turn.refused_at is not None:
            return True
        settled = await self._insistence.insist(pivot, Phase.COMPENSATION, fast=False, cause=turn.cause)
        if isinstance(settled, Done) and settled.reply.outcome is Outcome.ALREADY_DONE:
            # Perhaps in a run of which this one knows nothing; but without the steps before it there is no pivot.
            for step in self._definition.steps:
                if step.kind is not StepKind.RETRIABLE:
                    self._progress.step(step.name, StepState.SUCCEEDED)
            return False
        self._progress.step(pivot.name, StepState.NOTHING_TO_UNDO)
        return True

    async def _sweep(self, turn: Turn) -> None:
        """Compensates in reverse order; each place when the one before is settled or stuck."""
        places = self._definition.places
        if turn.refused_at is not None:
            places = places[: turn.refused_at + 1]
        fenced = self._definition.pivot is not None and turn.refused_at is None
        tasks: dict[Step, asyncio.Task[None]] = {}
        for place in reversed(places):
            steps = [step for step in place if step.kind is StepKind.COMPENSATABLE]
            # Only the first act of unwinding has to be a regular activity, and a fence was one.
            fast = self._policy.fast_path and (fenced or bool(tasks))
            tasks.update({step: asyncio.create_task(self._compensate(step, turn.cause, fast=fast)) for step in steps})
            await workflow.wait_condition(
                lambda: all(task.done() or self._insistence.is_stuck(step) for step, task in tasks.items())
            )
            _raise_bugs(tasks)
        await asyncio.gather(*tasks.values())

    async def _compensate(self, step: Step, cause: Cause, *, fast: bool) -> None:
        was_refused = self._progress.state_of(step.name) is StepState.REFUSED
        self._progress.step(step.name, StepState.COMPENSATING)
        settled = await self._insistence.insist(step, Phase.COMPENSATION, fast=fast, cause=cause)
        nothing = isinstance(settled, Done) and settled.reply.outcome is Outcome.NOTHING_TO_UNDO
        undone = StepState.NOTHING_TO_UNDO if nothing else StepState.COMPENSATED
        self._conclude(step, Phase.COMPENSATION, settled, StepState.REFUSED if nothing and was_refused else undone)

    def _conclude(self, step: Step, phase: Phase, settled: Settled | GoneWithout, done: StepState) -> None:
        if isinstance(settled, GoneWithout):
            self._residue.append(Residue(step=step.name, phase=phase))
            self._progress.step(step.name, StepState.SKIPPED)
        else:
            self._progress.step(step.name, done)

    # Ends

    def _end_unwound(self, turn: Turn) -> NoReturn:
        if self._residue:
            self._progress.end(Happening.FORCE)
            self._raise_forced(turn)
        self._progress.end(Happening.COMPENSATE)
        if turn.cause is Cause.CANCELLED:
            raise asyncio.CancelledError
        because = f" at {turn.failure.step}: {turn.failure.message}" if turn.failure else ""
        raise ApplicationError(
            f"compensated, {turn.cause}{because}",
            {"cause": turn.cause, "failure": turn.failure},
            type=SAGA_COMPENSATED,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        )

    def _raise_forced(self, turn: Turn | None) -> NoReturn:
        residue = ", ".join(f"{left.step} ({left.phase})" for left in self._residue)
        raise ApplicationError(
            f"ended by an operator's decision without {residue}",
            {"cause": turn.cause if turn else None, "residue": self._residue},
            type=SAGA_FORCED,
            non_retryable=True,
        )


def _raise_bugs(tasks: dict[Step, asyncio.Task[None]]) -> None:
    """An exception in a compensation's task is a bug in workflow code: it must suspend the workflow, at once."""
    for task in tasks.values():
        if task.done():
            task.result()
