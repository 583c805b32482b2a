"""Every case of a saga, enumerated from its definition: each failure, at each step, in each phase, alone and in pairs.

The order is stable, and so are the names: the same definition gives the same cases.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations, cycle, product
from typing import Any

from contracts.faults import Fault, FaultKind, Moment, Phase
from contracts.policy import Policy
from contracts.sagas import DecisionKind, DefinitionView, StepDefinitionView, StepKind
from proof.cases import Cancel, Case, Group, Half, Path, When, titled

QUICK = Policy(
    fast_timeout_s=0.8,
    attempt_timeout_s=2.5,
    retry_initial_s=0.05,
    retry_max_s=0.2,
    action_attempts=3,
    stuck_after=3,
    ask_interval_s=1.0,
)
"""Of all cases, instead of the system's own: timeouts and retries are short, so that many can be run."""
_PATIENT = QUICK.model_copy(update={"action_attempts": 1000, "stuck_after": 1000})
"""For cases that are ended by something else than the number of attempts."""
_PATIENT_IN_UNDOING = QUICK.model_copy(update={"stuck_after": 1000})
_HARDENED = QUICK.model_copy(update={"action_attempts": 8, "stuck_after": 8})
"""For cases beside which workers die, which costs the attempts that they were making."""

_SLOW_MS = 1200
"""Longer than a fast attempt may take, and shorter than a durable one."""
_HOLD_MS = 2000
"""How long an attempt is held on the wire while its saga is cancelled."""
_DEADLINE_S = 3.0
_OVERTAKEN_MS = 8000
"""How long after its caller gave up an action lands whose undo is to come first."""
_FORGOTTEN_S = 2.0
"""A deadline that passes before another worker takes up the saga of a dead one."""
_OFTEN = 40
"""Failures that outlast the deadline, and whoever waits for a moment between two attempts."""

_TIMES: tuple[int | str, ...] = (1, "always")


def enumerate_cases(saga: str, definition: DefinitionView) -> Iterator[Case]:
    """All of them, healthy sagas first, for a saga that the proof calls by that name."""
    cases = _Cases(saga, definition)
    yield from cases.healthy()
    yield from cases.single_faults()
    yield from cases.decisions()
    yield from cases.cancels()
    yield from cases.deadlines()
    yield from cases.pairs()
    yield from cases.undo_pairs()
    yield from cases.overtaken()
    yield from cases.resets()
    yield from cases.crashes()
    yield from cases.forgotten()


class _Cases:
    def __init__(self, saga: str, definition: DefinitionView) -> None:
        self._saga = saga
        self._steps = [step for place in definition.places for step in place]
        self._places = {step.name: at for at, place in enumerate(definition.places) for step in place}
        self._undone = [step for step in self._steps if step.kind is StepKind.COMPENSATABLE]
        self._before_the_end = [step for step in self._steps if step.kind is not StepKind.RETRIABLE]

    def healthy(self) -> Iterator[Case]:
        for path in Path:
            yield self._case(Group.HEALTHY, "healthy", path)

    def single_faults(self) -> Iterator[Case]:
        for path, half in product(Path, self._halves()):
            for fault in self._faults_at(half):
                yield self._faulty(Group.SINGLE, path, fault)

    def crashes(self) -> Iterator[Case]:
        for path, half, moment in product(Path, self._halves(), Moment):
            fault = _fault(half, FaultKind.CRASH_WORKER, 1, moment=moment)
            yield self._faulty(Group.CRASH, path, fault, policy=_HARDENED)

    def forgotten(self) -> Iterator[Case]:
        """The worker dies, and all that it did is unrecorded; when the next one comes, the saga takes another turn."""
        for step, moment in product(self._before_the_end, Moment):
            if moment is Moment.BEFORE and step.kind is not StepKind.PIVOT:
                continue
            fault = _fault(Half(step.name, Phase.ACTION), FaultKind.CRASH_WORKER, 1, moment=moment)
            title, given = f"forgotten.{titled(fault)}+deadline", {"deadline_s": _FORGOTTEN_S, "policy": _HARDENED}
            yield self._case(Group.FORGOTTEN, title, Path.FAST, faults=(fault,), alone=True, **given)
        once = _HARDENED.model_copy(update={"action_attempts": 1})
        for step in self._undone:
            # The failure that turned it is not met again, so only the record of the turn keeps it from going forward.
            failing = _fault(Half(step.name, Phase.ACTION), FaultKind.ERROR, 1)
            undo = self._unwound_after(step, failing)[-1]
            crash = _fault(undo, FaultKind.CRASH_WORKER, 1, moment=Moment.AFTER)
            title = f"forgotten.{titled(failing)}+{titled(crash)}"
            yield self._case(Group.FORGOTTEN, title, Path.FAST, faults=(failing, crash), policy=once, alone=True)

    def overtaken(self) -> Iterator[Case]:
        impatient = QUICK.model_copy(update={"action_attempts": 1, "stuck_after": 1})
        for path, step in product(Path, self._before_the_end):
            half = Half(step.name, Phase.ACTION)
            fault = _fault(half, FaultKind.LATE, "always", delay_ms=_OVERTAKEN_MS)
            decision = DecisionKind.GIVE_UP if step.kind is StepKind.PIVOT else DecisionKind.RETRY
            yield self._faulty(Group.OVERTAKEN, path, fault, policy=impatient, decision=decision)

    def resets(self) -> Iterator[Case]:
        first = self._places[self._steps[0].name]
        for path in Path:
            yield self._case(Group.RESET, "reset.healthy", path, reset=True)
            for step in self._before_the_end:
                if self._places[step.name] == first:
                    continue
                for failing in self._turning(step):
                    title = f"reset.{titled(failing)}"
                    yield self._case(Group.RESET, title, path, faults=(failing,), reset=True)

    def pairs(self) -> Iterator[Case]:
        """Each on one path, alternately."""
        paths = cycle(Path)
        for step in self._before_the_end:
            for failing in self._turning(step):
                for half in self._unwound_after(step, failing):
                    for fault in self._faults_at(half):
                        yield self._faulty(Group.PAIR, next(paths), fault, because=failing)

    def undo_pairs(self) -> Iterator[Case]:
        paths = cycle(Path)
        last = self._before_the_end[-1]
        for failing in self._turning(last, self._undone[-1]):
            halves = self._unwound_after(self._step(failing.step), failing)
            for first, second in combinations(halves, 2):
                for one, other in product(self._lasting(first), self._lasting(second)):
                    faults = (failing, one, other)
                    title = "+".join(map(titled, faults))
                    yield self._case(Group.UNDO_PAIR, title, next(paths), faults=faults)

    def decisions(self) -> Iterator[Case]:
        """Where a saga is stuck, the other answers there are."""
        for path, half in product(Path, self._halves()):
            step = self._step(half.step)
            is_pivot = step.kind is StepKind.PIVOT
            if half.phase is Phase.COMPENSATION and is_pivot:
                continue
            if half.phase is Phase.ACTION and step.kind is StepKind.COMPENSATABLE:
                continue
            decision = DecisionKind.GIVE_UP if is_pivot else DecisionKind.SKIP
            for kind in (FaultKind.ERROR, FaultKind.LOST_REPLY):
                yield self._faulty(Group.DECISION, path, _fault(half, kind, "always"), decision=decision)

    def cancels(self) -> Iterator[Case]:
        for path, when in product(Path, (When.AT_ONCE, When.AT_THE_END)):
            yield self._cancelled(path, Cancel(when), ())
        for half in self._halves():
            because = self._because(half)
            held = _fault(half, FaultKind.SLOW, "always", delay_ms=_HOLD_MS)
            failing = _fault(half, FaultKind.ERROR, _OFTEN)
            losing = _fault(half, FaultKind.LOST_REPLY, "always")
            is_attempted_for_ever = half.phase is Phase.COMPENSATION or self._step(half.step) not in self._undone
            for in_temporal in (False, True):
                yield self._cancelled(Path.DURABLE, Cancel(When.IN_FLIGHT, half, in_temporal), (*because, held))
                for path in Path:
                    yield self._cancelled(path, Cancel(When.WAITING, half, in_temporal), (*because, failing))
                    if is_attempted_for_ever:
                        yield self._cancelled(path, Cancel(When.STUCK, half, in_temporal), (*because, losing))

    def deadlines(self) -> Iterator[Case]:
        for path, step in product(Path, self._before_the_end):
            half = Half(step.name, Phase.ACTION)
            waiting = _fault(half, FaultKind.ERROR, _OFTEN if step.kind is StepKind.PIVOT else "always")
            yield self._late(path, "waiting", waiting)
            if step.kind is not StepKind.PIVOT:
                yield self._late(path, "in_flight", _fault(half, FaultKind.LATE, "always"))

    def _case(self, group: Group, title: str, path: Path, **more: Any) -> Case:
        return Case(saga=self._saga, group=group, title=title, path=path, **({"policy": QUICK} | more))

    def _faulty(self, group: Group, path: Path, fault: Fault, *, because: Fault | None = None, **more: object) -> Case:
        """One fault. An undo's comes with a reason to unwind, which the title tells where it is a special one."""
        title = titled(fault) if because is None else f"{titled(because)}+{titled(fault)}"
        reason = (because,) if because else self._because(Half(fault.step, fault.phase))
        if more.get("decision", DecisionKind.RETRY) is not DecisionKind.RETRY:
            title = f"{title}~{more['decision']}"
        return self._case(group, title, path, faults=(*reason, fault), **more)

    def _cancelled(self, path: Path, cancel: Cancel, faults: tuple[Fault, ...]) -> Case:
        policy = QUICK
        if cancel.when is When.WAITING and cancel.at:
            policy = _PATIENT if cancel.at.phase is Phase.ACTION else _PATIENT_IN_UNDOING
        return self._case(Group.CANCEL, str(cancel), path, faults=faults, cancel=cancel, policy=policy)

    def _late(self, path: Path, when: str, fault: Fault) -> Case:
        title = f"deadline.{fault.step}.{when}"
        return self._case(Group.DEADLINE, title, path, faults=(fault,), policy=_PATIENT, deadline_s=_DEADLINE_S)

    def _step(self, name: str) -> StepDefinitionView:
        return next(step for step in self._steps if step.name == name)

    def _halves(self) -> list[Half]:
        actions = [Half(step.name, Phase.ACTION) for step in self._steps]
        undos = [Half(step.name, Phase.COMPENSATION) for step in self._steps if step.undo]
        return actions + undos

    def _refusals(self, half: Half) -> tuple[str, ...]:
        step = self._step(half.step)
        return step.refusals if half.phase is Phase.ACTION else step.undo_refusals

    def _faults_at(self, half: Half) -> Iterator[Fault]:
        for kind, times in product(FaultKind, _TIMES):
            if kind is FaultKind.CRASH_WORKER or (kind is FaultKind.REFUSE and not self._refusals(half)):
                continue
            yield _fault(half, kind, times, **({"delay_ms": _SLOW_MS} if kind is FaultKind.SLOW else {}))

    def _lasting(self, half: Half) -> Iterator[Fault]:
        """Faults with which it gets stuck."""
        yield _fault(half, FaultKind.ERROR, "always")
        yield _fault(half, FaultKind.LOST_REPLY, "always")
        if self._refusals(half):
            yield _fault(half, FaultKind.REFUSE, "always")

    def _turning(self, *steps: StepDefinitionView) -> Iterator[Fault]:
        """Faults of a step that turn the saga."""
        for step in steps:
            half = Half(step.name, Phase.ACTION)
            if step.refusals:
                yield _fault(half, FaultKind.REFUSE, 1)
            if step.kind is StepKind.COMPENSATABLE:
                yield _fault(half, FaultKind.ERROR, "always")
                yield _fault(half, FaultKind.LOST_REPLY, "always")

    def _unwound_after(self, step: StepDefinitionView, failing: Fault) -> list[Half]:
        """What is called when the saga unwinds for that reason."""
        if failing.kind is FaultKind.REFUSE:
            swept = [one for one in self._undone if self._places[one.name] <= self._places[step.name]]
        else:
            swept = [*self._undone, *(one for one in self._steps if one.kind is StepKind.PIVOT)]
        return [Half(one.name, Phase.COMPENSATION) for one in swept]

    def _because(self, half: Half) -> tuple[Fault, ...]:
        """A reason to get to that half: none for an action, a saga that turns as late as it can for an undo."""
        if half.phase is Phase.ACTION:
            return ()
        step = self._step(half.step)
        last = self._before_the_end[-1] if step.kind is not StepKind.PIVOT else self._undone[-1]
        turning: Iterable[Fault] = self._turning(last, self._undone[-1])
        if step.kind is StepKind.PIVOT:
            # Only a saga that was not refused has to fence.
            turning = (fault for fault in turning if fault.kind is not FaultKind.REFUSE)
        return (next(iter(turning)),)


def _fault(half: Half, kind: FaultKind, times: int | str, **more: object) -> Fault:
    return Fault.model_validate({"step": half.step, "phase": half.phase, "kind": kind, "times": times, **more})
