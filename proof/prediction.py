"""How a saga must end, foretold from its definition and from what is done to it.

A model of its own, not the kernel's code: it knows neither Temporal nor activities, takes each place of the table in
turn, and plays every attempt with the faults that are left. Where both disagree, one of them is wrong.

What it takes for granted: services answer in time unless a fault says otherwise, and no fault is met by chance.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from contracts.faults import Fault, FaultKind, Moment, Phase
from contracts.sagas import Cause, DecisionKind, DefinitionView, SagaStatus, StepDefinitionView, StepKind
from contracts.wire import ALREADY_COMPENSATED
from proof.cases import Case, Half, Path, When

ANSWER_SHARE = 0.9
"""Of an attempt's time, how much a service gets to answer."""


@dataclass(frozen=True, slots=True)
class End:
    """How a saga may end."""

    status: SagaStatus
    cause: Cause | None = None

    def __str__(self) -> str:
        return f"{self.status}, {self.cause}" if self.cause else str(self.status)


@dataclass(frozen=True, slots=True)
class Prediction:
    ends: tuple[End, ...]
    """Any of them is right; there is more than one only where two things race."""
    stuck: frozenset[Half] = frozenset()
    """Where it gets stuck on its way."""
    enacted: tuple[int, ...] = ()
    """Which faults of the case must be enacted, by their place in it."""
    failure: tuple[str, str] | None = None
    """At which step and with which code it turns, where the proof is about that."""


def predict(definition: DefinitionView, case: Case) -> Prediction:
    """What must become of the case."""
    if case.cancel is not None and case.cancel.when in (When.AT_ONCE, When.AT_THE_END):
        # Somewhere on the way, or not at all; after the end it changes nothing.
        undisturbed = _Model(definition, replace(case, cancel=None)).run()
        if case.cancel.when is When.AT_THE_END:
            return undisturbed
        return replace(undisturbed, ends=(*undisturbed.ends, End(SagaStatus.COMPENSATED, Cause.CANCELLED)), enacted=())
    first = _Model(definition, case).run()
    if case.reset and first.ends[0].status is SagaStatus.COMPENSATED:
        # Whatever undid it, its first action is barred, and it has nothing but that to go by.
        barred = (definition.places[0][0].name, ALREADY_COMPENSATED)
        return replace(first, ends=(End(SagaStatus.COMPENSATED, Cause.REFUSED),), failure=barred)
    return first


class _Answer(Enum):
    DONE = auto()
    REFUSED = auto()
    FAILED = auto()
    """No attempt is left."""
    CANCELLED = auto()
    OUT_OF_TIME = auto()
    GIVEN_UP = auto()


@dataclass(slots=True)
class _Turn:
    causes: tuple[Cause, ...]
    refused_at: int | None = None


@dataclass(slots=True)
class _Left:
    """A fault of the plan, and how often it is still to be enacted."""

    place: int
    fault: Fault
    times: float


@dataclass(slots=True)
class _Model:
    definition: DefinitionView
    case: Case
    left: list[_Left] = field(init=False)
    happened: set[str] = field(default_factory=set)
    """Steps whose action has had its effect."""
    stuck: set[Half] = field(default_factory=set)
    enacted: set[int] = field(default_factory=set)
    residue: bool = False
    retried: bool = False

    def __post_init__(self) -> None:
        self.left = [
            _Left(place, fault, float("inf") if fault.times == "always" else fault.times)
            for place, fault in enumerate(self.case.faults)
        ]

    def run(self) -> Prediction:
        turn = self._forward()
        causes: tuple[Cause | None, ...] = (None,)
        unwound = False
        if turn is not None:
            unwound = self._unwind(turn)
            if unwound:
                causes = turn.causes
            else:
                self._finish()
        status = SagaStatus.COMPENSATED if unwound else SagaStatus.COMPLETED
        ends = tuple(End(SagaStatus.FORCED if self.residue else status, cause) for cause in causes)
        return Prediction(ends, frozenset(self.stuck), tuple(sorted(self.enacted)))

    def _forward(self) -> _Turn | None:
        for at, place in enumerate(self.definition.places):
            answers = [self._act(step) for step in place]
            self._decide()
            causes = tuple(dict.fromkeys(_CAUSES[answer] for answer in answers if answer in _CAUSES))
            if causes:
                refused = _Answer.REFUSED in answers
                return _Turn(causes, at if refused else None)
        return None

    def _finish(self) -> None:
        """What is left to do behind the pivot."""
        for place in self.definition.places:
            for step in place:
                if step.kind is StepKind.RETRIABLE:
                    self._act(step)
            self._decide()

    def _act(self, step: StepDefinitionView) -> _Answer:
        half = Half(step.name, Phase.ACTION)
        if step.kind is not StepKind.COMPENSATABLE:
            return self._insist(half, step)
        attempts = self.case.policy.action_attempts
        for attempt in range(attempts):
            answer = self._attempt(half, first=attempt == 0)
            if answer is not None:
                return answer
            if self._is_cancelled(half, When.WAITING):
                return _Answer.CANCELLED
        return _Answer.OUT_OF_TIME if self.case.deadline_s is not None else _Answer.FAILED

    def _insist(self, half: Half, step: StepDefinitionView) -> _Answer:
        """Attempts it without limit, and decides as the case's operator does once it is stuck."""
        is_pivot = step.kind is StepKind.PIVOT and half.phase is Phase.ACTION
        for attempt in range(self.case.policy.stuck_after):
            answer = self._attempt(half, first=attempt == 0)
            if answer is _Answer.REFUSED and not is_pivot:
                break
            if answer is not None:
                return answer
            if is_pivot and self._is_cancelled(half, When.WAITING):
                return _Answer.CANCELLED
        self.stuck.add(half)
        if is_pivot and self._is_cancelled(half, When.STUCK):
            return _Answer.CANCELLED
        if self.case.decision is DecisionKind.RETRY or (step.kind is StepKind.PIVOT and not is_pivot):
            self.retried = True
            self._effect(half)
            return _Answer.DONE
        if is_pivot:
            return _Answer.GIVEN_UP
        self.residue = True
        return _Answer.DONE

    def _decide(self) -> None:
        """The operator retries what is stuck by now, without faults; nothing that begins later has any."""
        if self.retried:
            self.left.clear()

    def _unwind(self, turn: _Turn) -> bool:
        """Whether everything was undone: False where the fence finds that the pivot has happened."""
        pivot = next((step for place in self.definition.places for step in place if step.kind is StepKind.PIVOT), None)
        places = list(self.definition.places)
        if turn.refused_at is not None:
            places = places[: turn.refused_at + 1]
        elif pivot is not None:
            self._insist(Half(pivot.name, Phase.COMPENSATION), pivot)
            self._decide()
            if pivot.name in self.happened:
                return False
        for place in reversed(places):
            for step in place:
                if step.kind is StepKind.COMPENSATABLE:
                    self._insist(Half(step.name, Phase.COMPENSATION), step)
        self._decide()
        return True

    def _attempt(self, half: Half, *, first: bool) -> _Answer | None:
        """One attempt; None where it failed and its effect is not known."""
        left = next((one for one in self.left if Half(one.fault.step, one.fault.phase) == half and one.times > 0), None)
        if left is None:
            self._effect(half)
            return self._settled(half)
        left.times -= 1
        self.enacted.add(left.place)
        fault = left.fault
        match fault.kind:
            case FaultKind.REFUSE:
                return _Answer.REFUSED
            case FaultKind.ERROR:
                return None
            case FaultKind.DUPLICATE:
                self._effect(half)
                return self._settled(half)
            case FaultKind.SLOW:
                self._effect(half)
                return self._settled(half) if self._is_in_time(fault, first=first) else None
            case FaultKind.CRASH_WORKER:
                if fault.moment is not Moment.BEFORE:
                    self._effect(half)
                return _Answer.OUT_OF_TIME if self._is_forgotten_until_the_deadline(half) else None
            case FaultKind.LOST_REPLY | FaultKind.GARBAGE:
                self._effect(half)
                return None
            case FaultKind.LATE:
                # With a delay it lands when all else is over.
                if not fault.delay_ms:
                    self._effect(half)
                return None

    def _settled(self, half: Half) -> _Answer:
        # Once an attempt at the pivot is on the wire, its outcome decides.
        if self._may_be_given_up(half) and self._is_cancelled(half, When.IN_FLIGHT):
            return _Answer.CANCELLED
        return _Answer.DONE

    def _effect(self, half: Half) -> None:
        if half.phase is Phase.ACTION:
            self.happened.add(half.step)

    def _is_in_time(self, fault: Fault, *, first: bool) -> bool:
        policy = self.case.policy
        fast = first and self.case.path is Path.FAST
        timeout_s = (policy.fast_timeout_s if fast else policy.attempt_timeout_s) * ANSWER_SHARE
        if self.case.deadline_s is not None and self._may_be_given_up(Half(fault.step, fault.phase)):
            timeout_s = min(timeout_s, self.case.deadline_s)
        return (fault.delay_ms or 0) / 1000 < timeout_s

    def _is_forgotten_until_the_deadline(self, half: Half) -> bool:
        """A worker that dies in the fast path takes the memory of the saga with it, and nobody sees it for a while."""
        dies_early = self.case.deadline_s is not None and half.phase is Phase.ACTION
        return dies_early and self.case.path is Path.FAST

    def _may_be_given_up(self, half: Half) -> bool:
        steps = (step for place in self.definition.places for step in place)
        kind = next(step.kind for step in steps if step.name == half.step)
        return half.phase is Phase.ACTION and kind is StepKind.COMPENSATABLE

    def _is_cancelled(self, half: Half, when: When) -> bool:
        cancel = self.case.cancel
        return cancel is not None and (cancel.when, cancel.at) == (when, half)


_CAUSES = {
    _Answer.REFUSED: Cause.REFUSED,
    _Answer.FAILED: Cause.FAILED,
    _Answer.CANCELLED: Cause.CANCELLED,
    _Answer.OUT_OF_TIME: Cause.DEADLINE,
    _Answer.GIVEN_UP: Cause.FAILED,
}
