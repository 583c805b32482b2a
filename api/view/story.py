"""The story of a saga: one entry per thing that happened, in English. Pure, from the same facts as the view."""

from collections.abc import Iterable, Iterator

from api.order_in_words import amount
from api.view import facts
from api.view.facts import Answer, Ending, Fact, Half
from contracts.faults import Phase
from contracts.sagas import Cause, HistoryEntry, SagaStatus, StepKind
from contracts.wire import Outcome
from workflows.names import FAILED_STEP, FAILURE_CODE, SAGA_CAUSE, SAGA_STATUS
from workflows.saga.definition import SagaDefinition

_BECAUSE = {
    Cause.REFUSED: "a step was refused",
    Cause.FAILED: "a step failed for good",
    Cause.CANCELLED: "the order was cancelled",
    Cause.DEADLINE: "the deadline passed",
}
_ENDS = {
    SagaStatus.COMPLETED: "The saga completed.",
    SagaStatus.COMPENSATED: "The saga ended compensated: everything it did is undone.",
    SagaStatus.FORCED: "The saga ended by an operator's decision, with a residue.",
    SagaStatus.TERMINATED: "The saga was ended from outside, without compensation.",
}


def tell(recorded: Iterable[Fact], definition: SagaDefinition) -> Iterator[HistoryEntry]:
    """The entries, in the order in which things were recorded."""
    teller = _Teller(definition)
    for fact in recorded:
        entry = teller.entry(fact)
        if entry is not None:
            yield entry


class _Teller:
    def __init__(self, definition: SagaDefinition) -> None:
        self._definition = definition
        self._status = SagaStatus.RUNNING
        self._shown_last: dict[str, str | None] = {}
        self._accepted: set[Half] = set()

    def entry(self, fact: Fact) -> HistoryEntry | None:
        match fact:
            case facts.Started(saga=saga):
                order = saga.order
                total = amount(order.total_minor, order.currency)
                detail = f"{len(order.faults)} faults are to be injected" if order.faults else None
                return _entry(fact, f"The saga of an order over {total} started.", detail=detail)
            case facts.FastAttempt(half=half, answer=answer):
                return self._settled(fact, half, answer, path="fast", attempt=1)
            case facts.Scheduled(half=half) if half in self._accepted:
                return _entry(
                    fact, f"No event came; the service is asked what became of {half.step}.", half, path="durable"
                )
            case facts.Scheduled(half=half, unlimited=unlimited):
                how = "retried without limit" if unlimited else "tried"
                what = f"{self._name(half)} is now {how} as an activity of its own, visible in Temporal."
                return _entry(fact, what, half, path="durable")
            case facts.Settled(half=half, answer=answer, attempts=attempts):
                return self._settled(fact, half, answer, path="durable", attempt=attempts or None)
            case facts.Told(half=half, event=event, answer=answer):
                self._accepted.discard(half)
                if self._status is not SagaStatus.RUNNING:
                    return _entry(fact, f"{event} came when nobody waited for it any more.", half)
                ended = f"was refused: {answer.code}" if answer.ending is Ending.REFUSED else "is done"
                outcome = answer.outcome or answer.ending
                return _entry(
                    fact, f"{event} came: {half.step} {ended}.", half, outcome=outcome, detail=answer.message or None
                )
            case facts.Interrupting(half=half):
                what = f"Retries of {self._name(half)} were stopped; an attempt on its way is awaited."
                return _entry(fact, what, half, path="durable")
            case facts.CancelAsked(reason=reason):
                return _entry(fact, "A cancellation was asked for.", detail=reason or None)
            case facts.Shown(attributes=attributes):
                return self._shown(fact, attributes)
            case facts.Decided(decision=decision):
                what = f"An operator decided on {decision.step}: {decision.decision.replace('_', ' ')}."
                return _entry(fact, what, step=decision.step, outcome=decision.decision, detail=decision.reason)
            case facts.TaskFailed(message=message):
                what = "Workflow code failed. The saga is suspended until it is fixed; nothing is compensated for that."
                return _entry(fact, what, detail=message)
            case facts.TaskLost():
                return _entry(fact, "A worker died or froze in the middle of this saga; it is taken up again.")
            case facts.Reset(reason=reason):
                return _entry(fact, "The saga was reset to this point, and runs again from here.", detail=reason)
            case facts.Closed(status=status, message=message):
                return _entry(fact, _ENDS[status], outcome=status, detail=message or None)
            case _:
                return None

    def _shown(self, fact: Fact, attributes: dict[str, str | None]) -> HistoryEntry | None:
        shown = attributes.get(SAGA_STATUS.name)
        # Only what changed is written. Of a stuck saga that may be where: one more step, or one less, is stuck.
        if shown is None and self._status is SagaStatus.STUCK and attributes.get(FAILED_STEP.name):
            shown = SagaStatus.STUCK
        self._shown_last |= attributes
        attributes = self._shown_last
        if shown is None:
            return None
        before, self._status = self._status, SagaStatus(shown)
        failure = attributes.get(FAILURE_CODE.name)
        step = attributes.get(FAILED_STEP.name)
        match self._status:
            case SagaStatus.UNWINDING if before is SagaStatus.RUNNING:
                cause = attributes.get(SAGA_CAUSE.name)
                because = f", because {_BECAUSE[Cause(cause)]}" if cause else ""
                where = f" at {step}" if step else ""
                what = f"The saga began to unwind{because}{where}."
            case SagaStatus.UNWINDING:
                what = "No step is stuck any more; the saga goes on unwinding."
            case SagaStatus.RUNNING if before is SagaStatus.UNWINDING:
                what = "The pivot had already happened, so the saga turned forward again."
            case SagaStatus.RUNNING:
                what = "No step is stuck any more; the saga goes on."
            case SagaStatus.STUCK:
                what = f"The saga is stuck at {step or 'a step'}, and waits for an operator's decision."
            case _:
                # The end itself is told by how the workflow closed.
                return None
        return _entry(fact, what, step=step, outcome=shown, detail=failure)

    def _settled(self, fact: Fact, half: Half, answer: Answer, *, path: str, attempt: int | None) -> HistoryEntry:
        name = self._name(half)
        match answer.ending:
            case Ending.DONE if answer.outcome is Outcome.ACCEPTED:
                is_or_was = "still is" if half in self._accepted else "was"
                what = f"{name} {is_or_was} accepted; an event will tell its outcome."
                self._accepted.add(half)
            case Ending.DONE:
                what = _done(name, answer.outcome)
            case Ending.REFUSED:
                what = f"{name} was refused: {answer.code}."
            case Ending.FAILED if path == "fast":
                what = f"{name} failed in its first attempt: {answer.code}."
            case Ending.FAILED:
                what = f"{name} failed in {attempt or 'all'} more attempts: {answer.code}."
            case Ending.INTERRUPTED:
                what = f"{name} was interrupted; whether it happened is not known."
        outcome = answer.outcome if answer.ending is Ending.DONE else answer.ending
        detail = answer.message or None
        return _entry(fact, what, half, path=path, attempt=attempt, outcome=outcome, detail=detail)

    def _name(self, half: Half) -> str:
        step = self._definition.step(half.step)
        if half.phase is Phase.ACTION:
            return half.step
        name = step.undo.name if step.undo else half.step
        return f"{name} (the fence)" if step.kind is StepKind.PIVOT else f"{name} (undoing {half.step})"


def _done(name: str, outcome: Outcome | None) -> str:
    match outcome:
        case Outcome.NOTHING_TO_UNDO:
            return f"{name} found nothing to undo, and made sure that nothing will come."
        case Outcome.FENCED:
            return f"{name} is in place: the pivot has not happened and never will."
        case Outcome.ALREADY_DONE:
            return f"{name} came too late: the pivot has happened."
        case _:
            return f"{name} was done."


def _entry(
    fact: Fact,
    what: str,
    half: Half | None = None,
    *,
    step: str | None = None,
    path: str | None = None,
    attempt: int | None = None,
    outcome: str | None = None,
    detail: str | None = None,
) -> HistoryEntry:
    return HistoryEntry.model_validate(
        {
            "event_id": fact.event_id,
            "at": fact.at,
            "what": what,
            "step": half.step if half else step,
            "phase": half.phase if half else None,
            "path": path,
            "attempt": attempt,
            "outcome": outcome,
            "detail": detail,
        }
    )
