"""Runs one case as a real saga: starts it, cancels it at its moment, answers for it where it is rightly stuck.

Then it looks: how it ended, where it was stuck, whether its faults were enacted, what the audit says, and whether its
history replays.
"""

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import uuid4

from contracts.faults import FaultKind, Phase
from contracts.sagas import (
    Decision,
    DecisionKind,
    HistoryEntry,
    SagaStatus,
    SagaView,
    StepKind,
    StepState,
    StepView,
)
from proof.cases import Cancel, Case, Half, When
from proof.doors import Doors, Enacted, Verdict
from proof.prediction import End
from proof.subjects import Subject

ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.FORCED, SagaStatus.TERMINATED})


class Engine(Protocol):
    """What only Temporal itself can do, and what operators do with its Web UI."""

    async def replay(self, saga_id: str, history: str) -> str | None:
        """Replays a saga's history, given as JSON. Says what is wrong, None if nothing is."""
        ...

    async def cancel(self, saga_id: str) -> None:
        """Asks it to cancel the workflow. One that has ended is left alone."""
        ...

    async def reset(self, saga_id: str) -> None:
        """Resets the workflow to its start: it runs again, and remembers nothing."""
        ...


TURNED_AWAY = 409

_LONG_POLL_S = 30
_POLL_S = 0.5
_MOMENT_POLL_S = 0.05
_WRONGLY_STUCK_S = 10.0
"""How long a saga may be stuck where it should not be: a busy machine may have had its attempts run out."""
_LANDING_S = 1.0
"""How much longer than its delay a late action may take to land."""
_GATHER_S = 2.0
"""How long an operator waits for everything that will be stuck to be so."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What became of a case."""

    saga: SagaView
    stuck: frozenset[Half] = frozenset()
    enacted: tuple[Enacted, ...] = ()
    violations: tuple[Verdict, ...] = ()
    replay: str | None = None
    cancelled_in_time: bool = True
    """Whether the saga was cancelled at the moment that the case is about."""
    was_reset: bool = False
    disturbance: str | None = None
    """A failure that nobody had injected: a busy machine, most likely."""
    took_s: float = 0.0

    @property
    def end(self) -> End | None:
        return End(self.saga.status, self.saga.cause) if self.saga.status in ENDED else None


@dataclass(slots=True)
class Run:
    """One run of one case."""

    doors: Doors
    subject: Subject
    engine: Engine
    case: Case
    stuck: frozenset[Half]
    """Where it is rightly stuck."""
    within_s: float
    """How long it may take."""
    key: str = field(default_factory=lambda: f"proof-{uuid4()}")
    was_turned_away_in_time: bool = False
    """Whether its cancellation was turned away before the moment was over."""

    async def observe(self) -> Observation:
        """Runs the case to its end, or for as long as it may take."""
        began = time.monotonic()
        deadline = began + self.within_s
        watched = bool(self.stuck or self.case.cancel)
        saga = await self._start(0 if watched else _LONG_POLL_S)
        if self.case.cancel is not None:
            saga = await self._cancel(saga, self.case.cancel, deadline)
        saga = await self._until_ended(saga, deadline, watched=watched)
        if self.case.reset and saga.status in ENDED:
            await self.engine.reset(saga.saga_id)
            saga = await self._until_ended(await self.doors.view(saga), deadline, watched=True)
        # What is still to land must not count against the audit's haste.
        await asyncio.sleep(self._latest_landing_s())
        observed = Observation(saga, took_s=time.monotonic() - began)
        if saga.status not in ENDED:
            return observed
        return await self._look(observed)

    def _latest_landing_s(self) -> float:
        late = [fault.delay_ms or 0 for fault in self.case.faults if fault.kind is FaultKind.LATE]
        return max(late) / 1000 + _LANDING_S if any(late) else 0.0

    async def _until_ended(self, saga: SagaView, deadline: float, *, watched: bool) -> SagaView:
        """Its last view: when it has ended, or when it is stuck where it should not be and does not get on."""
        stuck_since: float | None = None
        while saga.status not in ENDED and time.monotonic() < deadline:
            if saga.status is not SagaStatus.STUCK:
                stuck_since = None
                if not watched:
                    saga = await self._start(_LONG_POLL_S)
                    continue
            elif not await self._answer(saga, deadline):
                stuck_since = stuck_since or time.monotonic()
                if time.monotonic() - stuck_since > _WRONGLY_STUCK_S:
                    break
            await asyncio.sleep(_POLL_S)
            saga = await self.doors.view(saga)
        return saga

    async def _look(self, observed: Observation) -> Observation:
        saga = observed.saga
        story, enacted, audit, history = await asyncio.gather(
            self.doors.story(saga), self.doors.enacted(saga), self.doors.audit(saga), self.doors.temporal_history(saga)
        )
        return replace(
            observed,
            stuck=_stuck_in(story, {step.name: step.kind for step in saga.steps}),
            enacted=enacted,
            violations=tuple(verdict for verdict in audit.verdicts if not verdict.holds),
            replay=await self.engine.replay(saga.saga_id, history),
            cancelled_in_time=was_cancelled_in_time(self.case.cancel, story, self.was_turned_away_in_time),
            was_reset=any(entry.what.startswith("The saga was reset") for entry in story),
            disturbance=_disturbance_in(story, kills=self.case.kills_workers),
        )

    async def _start(self, wait_s: int) -> SagaView:
        return await self.subject.start(self.doors, self.case.options, self.key, wait_s)

    async def _cancel(self, saga: SagaView, cancel: Cancel, deadline: float) -> SagaView:
        while not _is_moment(saga, cancel) and saga.status not in ENDED and time.monotonic() < deadline:
            await asyncio.sleep(_MOMENT_POLL_S)
            saga = await self.doors.view(saga)
        if cancel.in_temporal:
            await self.engine.cancel(saga.saga_id)
            return await self.doors.view(saga)
        turned_away = await self.doors.cancel(saga) == TURNED_AWAY
        saga = await self.doors.view(saga)
        if turned_away and cancel.at is not None:
            # Nothing of it may be recorded; if the moment is not over yet, it was not over then.
            self.was_turned_away_in_time = _is_under_way(saga, cancel.at) or _is_stuck(saga, cancel.at)
        return saga

    async def _answer(self, saga: SagaView, deadline: float) -> bool:
        """Decides as an operator, on what is rightly stuck. Whether there was any of that; the rest is left alone."""
        rightly = {half.step for half in self.stuck}
        expected = rightly & {step.name for step in saga.steps if step.kind is not StepKind.PIVOT}
        gathered_by = min(deadline, time.monotonic() + _GATHER_S)
        while not expected <= _stuck_now(saga) and time.monotonic() < gathered_by:
            await asyncio.sleep(_POLL_S)
            saga = await self.doors.view(saga)
        stuck = [step for step in saga.steps if step.state is StepState.STUCK and step.name in rightly]
        for step in stuck:
            await self.doors.decide(saga, self._decision_on(step), key=f"{self.key}-{step.name}-{uuid4()}")
        return bool(stuck)

    def _decision_on(self, step: StepView) -> Decision:
        kind = self.case.decision
        if step.kind is StepKind.PIVOT and step.compensation_attempts:
            kind = DecisionKind.RETRY
        retries = kind is DecisionKind.RETRY
        return Decision(step=step.name, decision=kind, reason="the proof goes on", without_faults=retries)


def was_cancelled_in_time(cancel: Cancel | None, story: list[HistoryEntry], was_turned_away_in_time: bool) -> bool:
    """Whether the saga was cancelled at the moment that the case is about.

    A cancel may be recorded and turned away: where the fence, asked because of it, finds that the pivot has happened.
    """
    if cancel is None or cancel.at is None or was_turned_away_in_time:
        return True
    return _was_asked_for_before_the_end_of(cancel.at, story)


def _stuck_now(saga: SagaView) -> set[str]:
    return {step.name for step in saga.steps if step.state is StepState.STUCK}


def _is_moment(saga: SagaView, cancel: Cancel) -> bool:
    if cancel.at is None:
        return cancel.when is When.AT_ONCE
    if cancel.when is When.STUCK:
        return _is_stuck(saga, cancel.at)
    waits = _step(saga, cancel.at).next_attempt_at is not None
    return _is_under_way(saga, cancel.at) and waits is (cancel.when is When.WAITING)


def _is_stuck(saga: SagaView, half: Half) -> bool:
    return _step(saga, half).state is StepState.STUCK


def _is_under_way(saga: SagaView, half: Half) -> bool:
    """Whether it is attempted durably: of a fast attempt nobody hears before it is over."""
    step = _step(saga, half)
    if half.phase is Phase.COMPENSATION:
        return step.state is StepState.COMPENSATING and step.compensation_attempts > 0
    return step.state in (StepState.STARTED, StepState.WAITING) and step.path == "durable" and step.attempts > 0


def _step(saga: SagaView, half: Half) -> StepView:
    return next(step for step in saga.steps if step.name == half.step)


def _stuck_in(story: list[HistoryEntry], kinds: dict[str, StepKind]) -> frozenset[Half]:
    """Where the saga was stuck, as its story tells."""
    stuck, unwinding = set(), False
    for entry in story:
        if entry.outcome == SagaStatus.UNWINDING:
            unwinding = True
        elif entry.outcome == SagaStatus.RUNNING:
            unwinding = False
        elif entry.outcome == SagaStatus.STUCK and entry.step:
            undoes = unwinding or kinds[entry.step] is StepKind.COMPENSATABLE
            stuck.add(Half(entry.step, Phase.COMPENSATION if undoes else Phase.ACTION))
    return frozenset(stuck)


def _disturbance_in(story: list[HistoryEntry], *, kills: bool) -> str | None:
    """A failure's text says if it was injected, and a worker's death is no news where it is the case's own."""
    for entry in story:
        if entry.outcome == "failed" and "injected" not in (entry.detail or "") and not kills:
            return f"{entry.what} {entry.detail}"
        if entry.what.startswith("A worker died or froze") and not kills:
            return entry.what
    return None


def _was_asked_for_before_the_end_of(half: Half, story: list[HistoryEntry]) -> bool:
    """Whether a cancellation was recorded before that half was settled."""
    for entry in story:
        if entry.what == "A cancellation was asked for.":
            return True
        settled = entry.outcome in ("done", "nothing_to_undo", "fenced", "already_done", "refused")
        if settled and (entry.step, entry.phase) == (half.step, half.phase):
            return False
    return False
