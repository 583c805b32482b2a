"""The view of a saga: a pure fold of what Temporal has recorded. It needs no worker and asks nobody.

Local activities are recorded when their workflow task completes, so a view shows a fast step when it is over, not
while it runs. Retries that are stopped between two attempts leave no count behind in Temporal; the API leaves it with
what it stops them by, a decision or a cancellation. After a cancellation from Temporal's side it is a lower bound.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from api.view import facts
from api.view.facts import Ending, Fact, Half, Pending
from api.view.step_states import Operation, action_state, undo_state
from contracts.faults import Phase
from contracts.sagas import (
    CancelState,
    Cause,
    DecisionKind,
    Links,
    RecordedDecision,
    Residue,
    SagaStatus,
    SagaView,
    StepFailure,
    StepKind,
    StepState,
    StepView,
)
from contracts.wire import Outcome
from workflows.names import FAILED_STEP, FAILURE_CODE, SAGA_CAUSE, SAGA_STATUS
from workflows.saga.definition import SagaDefinition, Step
from workflows.saga_input import SagaInput


def fold(
    recorded: Iterable[Fact],
    definition: SagaDefinition,
    links: Links,
    *,
    pending: Sequence[Pending] = (),
    cancel_requested: bool = False,
    reported_problem: str | None = None,
) -> SagaView:
    """The saga's view after all these facts.

    The rest is what Temporal knows beyond the history: unsettled activities, a cancellation that the workflow has not
    been shown yet, and a workflow task that keeps failing.

    Raises:
        UnreadableHistory: the facts do not begin with a saga's start.
    """
    state = _State(definition)
    state.cancel_asked = cancel_requested
    for fact in recorded:
        state.apply(fact)
    state.attach(pending)
    if not state.closed:
        # Only the first failure of a task in a row is written into the history.
        state.suspended = state.suspended or reported_problem
    return state.view(links)


@dataclass(slots=True)
class _State:
    definition: SagaDefinition
    saga: SagaInput | None = None
    started_at: datetime | None = None
    cancel_asked: bool = False
    suspended: str | None = None
    closed: facts.Closed | None = None
    attributes: dict[str, str | None] = field(default_factory=dict)
    operations: dict[Half, Operation] = field(default_factory=dict)

    def apply(self, fact: Fact) -> None:
        match fact:
            case facts.Started(saga=saga, at=at):
                self.saga, self.started_at = saga, at
            case facts.FastAttempt(half=half, answer=answer):
                operation = self._of(half)
                operation.path = "fast"
                operation.settle(answer, 1)
                self._note_stuck(half, operation, exhausted=False)
            case facts.Scheduled(half=half, unlimited=unlimited):
                operation = self._of(half)
                operation.path, operation.in_flight = "durable", True
                operation.stuck = operation.stuck or unlimited
            case facts.Settled(half=half, answer=answer, attempts=attempts):
                operation = self._of(half)
                operation.settle(answer, attempts)
                self._note_stuck(half, operation, exhausted=answer.ending is Ending.FAILED)
            case facts.Told(half=half, answer=answer):
                # One that comes when the saga has turned finds nobody waiting.
                if self._status() is SagaStatus.RUNNING:
                    self._of(half).tell(answer)
            case facts.CancelAsked(attempts_before=attempts_before):
                self.cancel_asked = True
                for activity, attempts in attempts_before.items():
                    self._note_attempts(self._in_flight(activity), attempts)
            case facts.Shown(attributes=attributes):
                self.attributes |= attributes
            case facts.Decided(decision=decision):
                self._decide(decision)
            case facts.TaskDone() | facts.TaskLost() | facts.Reset():
                self.suspended = None
            case facts.TaskFailed(message=message):
                self.suspended = message or "a workflow task failed"
            case facts.Closed():
                self.closed, self.suspended = fact, None

    def attach(self, pending: Sequence[Pending]) -> None:
        for one in pending:
            operation = self._in_flight(one.activity)
            # A description read a moment earlier than the history may still tell of what is settled by now.
            if operation is None:
                continue
            operation.pending = one
            operation.attempts += one.attempts
            operation.last_failure = one.last_failure or operation.last_failure

    def view(self, links: Links) -> SagaView:
        if self.saga is None or self.started_at is None:
            raise facts.UnreadableHistory("the history does not begin with the start of a saga")
        status, cause = self._status(), self._cause()
        return SagaView(
            order_id=self.saga.order_id,
            saga_id=self.saga.saga_id,
            status=status,
            cause=cause,
            cancel=self._cancel(cause),
            total_minor=self.saga.ordered.total_minor,
            currency=self.saga.ordered.currency,
            failure=self._failure(),
            residue=self._residue(),
            steps=tuple(self._step(step, status) for step in self.definition.steps),
            started_at=self.started_at,
            ended_at=self.closed.at if self.closed else None,
            suspended=self.suspended,
            links=links,
        )

    def _of(self, half: Half) -> Operation:
        return self.operations.setdefault(half, Operation())

    def _peek(self, step: str, phase: Phase) -> Operation:
        return self.operations.get(Half(step, phase)) or Operation()

    def _in_flight(self, activity: str) -> Operation | None:
        for half, operation in self.operations.items():
            step = self.definition.step(half.step)
            called = step.action if half.phase is Phase.ACTION else step.undo
            if called is not None and called.name == activity and operation.in_flight:
                return operation
        return None

    def _note_attempts(self, operation: Operation | None, attempts: int) -> None:
        """Remembers what was seen of an activity whose retries are about to be stopped."""
        if operation is not None and operation.in_flight:
            operation.attempts_seen = max(operation.attempts_seen, attempts)

    def _note_stuck(self, half: Half, operation: Operation, *, exhausted: bool) -> None:
        """What must not fail is stuck once its counted attempts ran out, or when it is refused."""
        kind = self.definition.step(half.step).kind
        refused = operation.answer is not None and operation.answer.ending is Ending.REFUSED
        if half.phase is Phase.COMPENSATION or kind is StepKind.RETRIABLE:
            operation.stuck = operation.stuck or exhausted or refused
        elif kind is StepKind.PIVOT:
            # A pivot's refusal is an answer, and turns the saga.
            operation.stuck = (operation.stuck or exhausted) and not refused

    def _decide(self, decision: RecordedDecision) -> None:
        for phase in (Phase.COMPENSATION, Phase.ACTION):
            operation = self.operations.get(Half(decision.step, phase))
            if operation is not None and operation.stuck:
                self._note_attempts(operation, decision.attempts_before)
                if decision.decision is not DecisionKind.RETRY:
                    operation.skipped, operation.stuck = True, False
                return

    def _status(self) -> SagaStatus:
        if self.closed:
            return self.closed.status
        return SagaStatus(self.attributes.get(SAGA_STATUS.name) or SagaStatus.RUNNING)

    def _cause(self) -> Cause | None:
        told = self.closed.details.get("cause") if self.closed else None
        told = told or self.attributes.get(SAGA_CAUSE.name)
        return Cause(told) if told else None

    def _cancel(self, cause: Cause | None) -> CancelState | None:
        """Too late as soon as another cause is recorded, even while the fence's answer is open.

        Whatever that answer is, the saga ends as it would have without the cancel: unwound for the recorded cause, or
        completed, where the pivot had happened after all.
        """
        if not self.cancel_asked:
            return None
        if cause is Cause.CANCELLED:
            return CancelState.EFFECTIVE
        too_late = self.closed or cause is not None or self._pivot_happened()
        return CancelState.TOO_LATE if too_late else CancelState.REQUESTED

    def _pivot_happened(self) -> bool:
        pivot = self.definition.pivot
        return pivot is not None and self._happened(pivot)

    def _happened(self, pivot: Step) -> bool:
        fence = self._peek(pivot.name, Phase.COMPENSATION)
        return self._peek(pivot.name, Phase.ACTION).done or fence.outcome is Outcome.ALREADY_DONE

    def _failure(self) -> StepFailure | None:
        told = self.closed.details.get("failure") if self.closed else None
        if told:
            return StepFailure.model_validate(told)
        step, code = self.attributes.get(FAILED_STEP.name), self.attributes.get(FAILURE_CODE.name)
        if not step or not code:
            return None
        for phase in (Phase.COMPENSATION, Phase.ACTION):
            # Not its last answer's only: a decision's interruption says nothing, and the failure still stands.
            message = self._peek(step, phase).messages.get(code)
            if message is not None:
                return StepFailure(step=step, code=code, message=message)
        return StepFailure(step=step, code=code, message=_MESSAGES.get(code, code))

    def _residue(self) -> tuple[Residue, ...]:
        if self.closed:
            return tuple(Residue.model_validate(one) for one in self.closed.details.get("residue", ()))
        return tuple(
            Residue(step=half.step, phase=half.phase)
            for half, operation in sorted(self.operations.items())
            if operation.skipped and not self._is_pivot(half.step)
        )

    def _is_pivot(self, step: str) -> bool:
        return self.definition.step(step).kind is StepKind.PIVOT

    def _step(self, step: Step, status: SagaStatus) -> StepView:
        action, undo = self._peek(step.name, Phase.ACTION), self._peek(step.name, Phase.COMPENSATION)
        shown = undo if undo.known else action
        if undo.known:
            state = undo_state(step, action, undo)
        elif step.kind is StepKind.COMPENSATABLE and self._pivot_happened():
            # Perhaps in a run of which this history knows nothing; but without this step there is no pivot.
            state = StepState.SUCCEEDED
        else:
            state = action_state(step, action, status)
        return StepView(
            name=step.name,
            kind=step.kind,
            state=state,
            attempts=action.attempts,
            path=action.path,
            compensation_attempts=undo.attempts,
            last_failure=shown.last_failure or action.last_failure,
            next_attempt_at=shown.pending.next_attempt_at if shown.pending and not self.closed else None,
        )


_MESSAGES = {"DEADLINE": "the deadline passed before the step", "UNKNOWN": "no attempt has been made"}
