"""How far an operation of a saga got, and what state its step is shown in for that."""

from dataclasses import dataclass, field
from typing import Literal

from api.view.facts import Answer, Ending, Pending
from contracts.sagas import SagaStatus, StepKind, StepState
from contracts.wire import Outcome
from workflows.saga.definition import Step

_GOING_ON = (SagaStatus.RUNNING, SagaStatus.UNWINDING, SagaStatus.STUCK)


@dataclass(slots=True)
class Operation:
    """One half of a step, as far as it got."""

    attempts: int = 0
    attempts_seen: int = 0
    """Of the activity in flight, before something stopped its retries; for when Temporal does not tell."""
    path: Literal["fast", "durable"] | None = None
    replied: Answer | None = None
    """The last answer to a call."""
    accepted: bool = False
    """Whether one of them was only an acceptance, so that the saga waits for an event."""
    told: Answer | None = None
    """What that event said."""
    in_flight: bool = False
    stuck: bool = False
    skipped: bool = False
    last_failure: str | None = None
    messages: dict[str, str] = field(default_factory=dict)
    """Of its failures and refusals so far, the last one of each code."""
    pending: Pending | None = None

    @property
    def known(self) -> bool:
        return self.path is not None

    @property
    def answer(self) -> Answer | None:
        """What became of it, as far as is known."""
        return self.told if self.awaited and self.told else self.replied

    @property
    def awaited(self) -> bool:
        """Whether it was accepted, and no call has told what became of it."""
        if not self.accepted or self.replied is None or self.replied.ending is Ending.REFUSED:
            return False
        return self.replied.ending is not Ending.DONE or self.replied.outcome is Outcome.ACCEPTED

    @property
    def done(self) -> bool:
        answer = self.answer
        return answer is not None and answer.ending is Ending.DONE and answer.outcome is not Outcome.ACCEPTED

    @property
    def outcome(self) -> Outcome | None:
        return self.answer.outcome if self.answer else None

    def settle(self, answer: Answer, attempts: int) -> None:
        self.attempts += attempts or self.attempts_seen
        self.attempts_seen = 0
        self.in_flight = False
        self.replied = answer
        self.accepted = self.accepted or answer.outcome is Outcome.ACCEPTED
        self._note(answer)
        if self.done:
            self.stuck = self.skipped = False

    def tell(self, answer: Answer) -> None:
        """The first event counts."""
        if self.told is None:
            self.told = answer
            self._note(answer)

    def _note(self, answer: Answer) -> None:
        if answer.ending in (Ending.FAILED, Ending.REFUSED):
            self.last_failure = answer.message
        if answer.code and answer.message:
            self.messages[answer.code] = answer.message


def action_state(step: Step, action: Operation, status: SagaStatus) -> StepState:
    if not action.known:
        return StepState.PENDING
    if action.skipped:
        return StepState.FAILED if step.kind is StepKind.PIVOT else StepState.SKIPPED
    if action.stuck:
        return StepState.STUCK
    if action.awaited and not action.told:
        return StepState.WAITING if status is SagaStatus.RUNNING else StepState.STARTED
    if action.in_flight:
        waits = action.pending is not None and action.pending.between_attempts and action.pending.attempt > 1
        return StepState.WAITING if waits and status in _GOING_ON else StepState.STARTED
    if action.answer is None or action.answer.ending is Ending.INTERRUPTED:
        # Its effect is unknown: it may have happened.
        return StepState.STARTED
    if action.answer.ending is Ending.DONE:
        return StepState.SUCCEEDED
    if action.answer.ending is Ending.REFUSED:
        return StepState.REFUSED
    goes_on = status is SagaStatus.RUNNING and action.path == "fast"
    return StepState.WAITING if goes_on else StepState.FAILED


def undo_state(step: Step, action: Operation, undo: Operation) -> StepState:
    if undo.skipped:
        return StepState.SKIPPED
    if undo.stuck:
        return StepState.STUCK
    if not undo.done:
        return StepState.COMPENSATING
    if undo.outcome is Outcome.ALREADY_DONE:
        return StepState.SUCCEEDED
    if step.kind is StepKind.PIVOT:
        # Fenced: it has not happened, and never will, whatever it answered before.
        return StepState.NOTHING_TO_UNDO
    if undo.outcome is Outcome.DONE:
        return StepState.COMPENSATED
    # Nothing had happened, and nothing will: say why, where there was an answer.
    refused = action.answer is not None and action.answer.ending is Ending.REFUSED
    return StepState.REFUSED if refused else StepState.NOTHING_TO_UNDO
