"""How an operation that must not fail is attempted: until it is done, or an operator decides to do without it.

That is every pivot, retriable step, fence and compensation.

Guarantees:
- A failure is retried without limit; after `stuck_after` attempts the step shows as stuck, and goes on retrying.
- A refusal is stuck at once, and waits. (Not the pivot's: that one is an answer, and turns the saga.)
- A decision settles the attempt in flight first. If that attempt did it after all, the decision is moot.
- A cancellation ends the insistence on the pivot, and on nothing else.
"""

from dataclasses import dataclass
from typing import TypeGuard

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from contracts.faults import Phase
from contracts.sagas import Cause, Decision, DecisionKind, RecordedDecision, StepFailure, StepKind, StepState
from workflows.names import DECIDE
from workflows.saga.attempts import Attempts, Done, Failed, Interrupted, Refused, Settled
from workflows.saga.calls import Calls
from workflows.saga.definition import SagaDefinition, Step
from workflows.saga.progress import Progress

REFUSED_WHILE_STUCK = "the-refusal-of-a-stuck-pivot-is-an-answer"


@dataclass(frozen=True, slots=True)
class GoneWithout:
    """An operator decided to go on without the operation; its effect is unknown."""

    last: StepFailure


@dataclass(frozen=True, slots=True)
class _Stuck:
    phase: Phase
    failure: StepFailure


class Insistence:
    """Insists on operations for one saga, and takes the decisions about those that are stuck."""

    def __init__(self, definition: SagaDefinition, calls: Calls, progress: Progress) -> None:
        self._definition = definition
        self._calls = calls
        self._progress = progress
        self._stuck: dict[str, _Stuck] = {}
        self._decisions: dict[str, Decision] = {}
        workflow.set_update_handler(DECIDE, self._decide, validator=self._check)

    def is_stuck(self, step: Step) -> bool:
        return step.name in self._stuck

    async def insist(
        self, step: Step, phase: Phase, *, fast: bool, cause: Cause | None = None
    ) -> Done | Refused | Interrupted | GoneWithout:
        """Attempts the operation until it is settled for good.

        Returns Refused only for the pivot's action, and Interrupted only for it, after a cancellation.
        """
        is_pivot = step.kind is StepKind.PIVOT and phase is Phase.ACTION
        last = StepFailure(step=step.name, code="UNKNOWN", message="no attempt has been made")
        with self._calls.attempts(step, phase, cause) as attempts:
            settled = await self._attempt(attempts, fast=fast)
            while not _is_answer(settled, is_pivot=is_pivot):
                if self._yields(attempts):
                    settled = Interrupted()
                    break
                if isinstance(settled, Refused | Failed):
                    last = StepFailure(step=step.name, code=settled.code, message=settled.message)
                self._stall(step, _Stuck(phase, last))
                settled = await self._attempt_until_decided(step, attempts, settled, is_pivot=is_pivot)
                decision = self._decisions.pop(step.name, None)
                if decision is not None and not _is_answer(settled, is_pivot=is_pivot):
                    if decision.decision is not DecisionKind.RETRY:
                        self._unstall(step)
                        return GoneWithout(last)
                    settled = Interrupted()
        self._unstall(step)
        return settled

    async def _attempt(self, attempts: Attempts, *, fast: bool) -> Settled:
        """The attempts before the step counts as stuck."""
        left = self._calls.policy.stuck_after
        settled: Settled = Interrupted()
        if fast:
            settled = await attempts.fast()
            left -= 1
        if isinstance(settled, Done | Refused) or left == 0 or self._yields(attempts):
            return settled
        return await attempts.durable(left)

    async def _attempt_until_decided(
        self, step: Step, attempts: Attempts, settled: Settled, *, is_pivot: bool
    ) -> Settled:
        """The attempts of a stuck step, without limit; where another attempt makes no sense, only the waiting."""
        if not isinstance(settled, Refused):
            settled = await attempts.durable(0)
            # Sagas from before this was known wait at this place for a decision, and are to be replayed so.
            if is_pivot and isinstance(settled, Refused) and workflow.patched(REFUSED_WHILE_STUCK):
                return settled
        if not isinstance(settled, Done | Interrupted):
            # Refused, or a failure of the kind that Temporal does not retry.
            await workflow.wait_condition(lambda: step.name in self._decisions or self._yields(attempts))
        return settled

    def _yields(self, attempts: Attempts) -> bool:
        return self._calls.cancelled and attempts.yields_to_cancel

    def _stall(self, step: Step, stuck: _Stuck) -> None:
        self._stuck[step.name] = stuck
        self._progress.step(step.name, StepState.STUCK)
        self._progress.stall(stuck.failure)

    def _unstall(self, step: Step) -> None:
        if self._stuck.pop(step.name, None) is None:
            return
        if self._stuck:
            self._progress.stall(next(iter(self._stuck.values())).failure)
        else:
            self._progress.move_on()

    def _check(self, decision: RecordedDecision) -> None:
        """Turns away a decision that makes no sense now, before anything of it is recorded."""
        stuck = self._stuck.get(decision.step)
        if stuck is None or decision.step in self._decisions:
            raise ApplicationError(f"step {decision.step} is not stuck, so there is nothing to decide")
        is_pivot = self._definition.step(decision.step).kind is StepKind.PIVOT
        if decision.decision is DecisionKind.SKIP and is_pivot:
            raise ApplicationError(f"step {decision.step} is the pivot: whether it happened must be known")
        if decision.decision is DecisionKind.GIVE_UP and not (is_pivot and stuck.phase is Phase.ACTION):
            raise ApplicationError(f"only a pivot that has not been fenced yet can be given up, not {decision.step}")

    async def _decide(self, decision: RecordedDecision) -> None:
        self._decisions[decision.step] = decision
        if decision.without_faults:
            self._calls.end_faults()
            # An attempt under way takes its faults along, and a stuck step's attempts go on for ever: begin them anew.
            for step in self._stuck:
                self._calls.interrupt(step)
        self._calls.interrupt(decision.step)


def _is_answer(settled: Settled, *, is_pivot: bool) -> TypeGuard[Done | Refused]:
    """Whether there is nothing left to insist on, whatever anybody decides."""
    return isinstance(settled, Done) or (is_pivot and isinstance(settled, Refused))
