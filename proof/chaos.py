"""A chaos run: customers order without a pause, with faults by chance, while processes are killed.

At the end, when everything has come to rest: every order that was taken has one saga, which has ended as sagas may end;
the audits of all of them are clean; and every unit of stock is accounted for.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from statistics import quantiles
from typing import Any, Protocol
from uuid import uuid4

from contracts.audits import Judgement
from contracts.base import Contract
from contracts.faults import Fault, FaultKind, Moment, Phase
from contracts.sagas import Decision, DecisionKind, DefinitionView, SagaStatus, SagaView, StepState
from proof.doors import Doors
from proof.errors import CannotProve
from proof.running import ENDED
from proof.subjects import an_order

PLENTY, SCARCE = 100_000, 25
"""Units of the two SKUs of a run: one never runs out, the other soon does."""
_PAUSE_S = (1.0, 4.0)
"""Between two kills, at least and at most."""
_POLL_S = 0.5
_ROUND_S = 2.0
"""Between two rounds of the operator, while customers order."""
_LOOKS_AT_ONCE = 20
"""Hundreds of sagas may be on their way in the end, and a system that just came back is not to be overrun."""
_REST_S = 180.0
"""How long everything may take to come to rest after the last order."""
_POLICY = {"retry_initial_s": 0.1, "retry_max_s": 1.0, "attempt_timeout_s": 2.5, "stuck_after": 4}
_LATEST_MS = 4000

Disturb = Callable[[Random], Awaitable[str]]
"""Kills or cuts something, and says what; it is back, or on its way back, by itself."""


class Sagas(Protocol):
    """What only Temporal knows."""

    async def count(self, customer: str) -> int:
        """How many sagas there are of that customer."""
        ...


class ChaosReport(Contract):
    """What a chaos run has seen. It is fine if there are no problems."""

    seed: int
    seconds: float
    orders: int
    kills: dict[str, int]
    faults: dict[str, int]
    """Enacted, by kind."""
    outcomes: dict[str, int]
    decisions: int
    """The operator's, on stuck sagas."""
    ended_within_s: dict[str, float]
    """From an order's saga's start to its end: p50, p99 and the longest."""
    rest_s: float
    """From the last order until all had ended, and all that was to be known of them was known."""
    problems: tuple[str, ...]

    @property
    def orders_per_s(self) -> float:
        return self.orders / self.seconds


@dataclass(slots=True)
class Chaos:
    """One run."""

    doors: Doors
    sagas: Sagas
    definition: DefinitionView
    disturb: Disturb
    seed: int
    seconds: float
    customers: int
    plenty: str
    scarce: str
    """The two SKUs, which nobody else orders."""
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """Enacted, by kind."""
    taken: dict[str, SagaView] = field(default_factory=dict)
    """By key: what was answered to every order that was taken."""
    decisions: int = 0
    problems: list[str] = field(default_factory=list)
    _rests_by: float | None = None
    """When everything must have ended; none while customers order."""
    customer: str = field(default_factory=lambda: f"chaos-{uuid4().hex}")
    _looking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LOOKS_AT_ONCE))

    async def run(self) -> ChaosReport:
        """Orders and kills for the time of the run, waits until everything is at rest, and looks.

        Raises:
            CannotProve: the system cannot be driven at all any more.
        """
        until = time.monotonic() + self.seconds
        ordering = [self._order(Random(f"{self.seed} {number}"), until) for number in range(self.customers)]  # noqa: S311 - no secret
        killing = asyncio.create_task(self._kill(Random(self.seed), until))  # noqa: S311 - no secret
        operating = asyncio.create_task(self._operate())
        await asyncio.gather(*ordering)
        await killing
        stopped = time.monotonic()
        self._rests_by = stopped + _REST_S
        await operating
        ended = [saga for saga in self.taken.values() if saga.status in ENDED]
        await self._look_at_the_whole(stopped + _REST_S)
        rest_s = time.monotonic() - stopped
        await self._look_at_each(ended)
        took = sorted((saga.ended_at - saga.started_at).total_seconds() for saga in ended if saga.ended_at)
        return ChaosReport(
            seed=self.seed,
            seconds=self.seconds,
            orders=len(self.taken),
            kills=dict(self.kills.most_common()),
            faults=dict(self.faults.most_common()),
            outcomes=dict(Counter(_outcome(saga) for saga in ended).most_common()),
            decisions=self.decisions,
            ended_within_s=_percentiles(took),
            rest_s=round(rest_s, 1),
            problems=tuple(self.problems),
        )

    async def _kill(self, random: Random, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, random.uniform(*_PAUSE_S)))
            self.kills[await self.disturb(random)] += 1

    async def _order(self, random: Random, until: float) -> None:
        """A customer: one order after the other, each followed to its end, if that comes soon."""
        while time.monotonic() < until:
            key = f"chaos-{uuid4()}"
            try:
                saga = await self.doors.start("/orders", self._any_order(random), key=key)
                self.taken[key] = saga
                if random.random() < 0.1:
                    await asyncio.sleep(random.random())
                    await self.doors.cancel(saga)
                self.taken[key] = await self._follow(saga, min(until, time.monotonic() + 10))
            except CannotProve as error:
                self.problems.append(f"an order: {error}")

    async def _follow(self, saga: SagaView, until: float) -> SagaView:
        while saga.status not in ENDED and time.monotonic() < until:
            await asyncio.sleep(_POLL_S)
            saga = await self.doors.view(saga)
        return saga

    async def _operate(self) -> None:
        """An operator: makes rounds of all sagas that have not ended, and answers for those that are stuck.

        Returns when nobody orders any more and all have ended, or the time for that is over.
        """
        while True:
            going = [key for key, saga in self.taken.items() if saga.status not in ENDED]
            if self._rests_by is not None and (not going or time.monotonic() > self._rests_by):
                break
            await asyncio.gather(*map(self._attend_to, going))
            await asyncio.sleep(_ROUND_S if self._rests_by is None else _POLL_S)
        self.problems += [
            f"saga {saga.saga_id} has not ended, and is {saga.status}"
            for saga in self.taken.values()
            if saga.status not in ENDED
        ]

    async def _attend_to(self, key: str) -> None:
        async with self._looking:
            try:
                saga = await self.doors.view(self.taken[key])
                if self.taken[key].status not in ENDED:  # its customer looks as well, and may have seen more
                    self.taken[key] = saga
                if saga.status is SagaStatus.STUCK:
                    await self._decide(saga)
            except CannotProve as error:
                self.problems.append(f"the operator: {error}")

    async def _decide(self, saga: SagaView) -> None:
        for step in saga.steps:
            if step.state is StepState.STUCK:
                retry = Decision(
                    step=step.name, decision=DecisionKind.RETRY, reason="the fault is gone", without_faults=True
                )
                self.decisions += 1
                await self.doors.decide(saga, retry, key=str(uuid4()))

    async def _look_at_each(self, ended: list[SagaView]) -> None:
        await asyncio.gather(*map(self._look_at, ended))

    async def _look_at(self, saga: SagaView) -> None:
        if saga.status is SagaStatus.TERMINATED:
            self.problems.append(f"saga {saga.saga_id} was ended from outside, which nobody did")
        async with self._looking:
            audit, faults = await self.doors.audit(saga), await self.doors.enacted(saga)
        self.problems += [
            f"saga {saga.saga_id}: {verdict.invariant}: {'; '.join(verdict.evidence)}"
            for verdict in audit.verdicts
            if not verdict.holds
        ]
        for fault in faults:
            self.faults.update({fault.kind: fault.enacted} if fault.enacted else {})

    async def _look_at_the_whole(self, deadline: float) -> None:
        """Everything that must be true of a system at rest, as soon as it is at rest."""
        await self._look_whether_each_has_one_saga(deadline)
        for sku, received in ((self.plenty, PLENTY), (self.scarce, SCARCE)):
            await self._look_at_stock(sku, received, deadline)
        await self._look_at_everything(deadline)

    async def _look_whether_each_has_one_saga(self, deadline: float) -> None:
        expected = {saga.saga_id for saga in self.taken.values()}
        # Temporal's lists are a moment behind.
        while (found := await self.sagas.count(self.customer)) < len(expected) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
        if found != len(expected) or len(expected) != len(self.taken):
            self.problems.append(
                f"{len(self.taken)} orders were taken, and there are {found} sagas of {len(expected)} orders"
            )

    async def _look_at_stock(self, sku: str, received: int, deadline: float) -> None:
        while True:
            stock = await self.doors.stock(sku)
            told = stock and (stock.received, stock.on_hand + stock.dispatched)
            if told == (received, received) or time.monotonic() > deadline:
                break
            await asyncio.sleep(_POLL_S)
        if told != (received, received):
            self.problems.append(f"of {received} units of {sku} the query side knows {told} received and kept or sent")

    async def _look_at_everything(self, deadline: float) -> None:
        """By the audit of everything, as soon as it can be judged. What it finds of others' orders is theirs."""
        while (audit := await self.doors.audit_of_everything()).verdict is Judgement.UNKNOWN:
            if time.monotonic() > deadline:
                self.problems.append(f"the audit of everything cannot be judged: {'; '.join(audit.waits_for)}")
                return
            await asyncio.sleep(_POLL_S)
        ours = {None, *(saga.order_id for saga in self.taken.values())}
        self.problems += [
            f"the audit of everything: {one.invariant}: {finding.what}"
            for one in audit.invariants
            for finding in one.findings
            if finding.order_id in ours
        ]

    def _any_order(self, random: Random) -> dict[str, Any]:
        order = an_order(self.scarce if random.random() < 0.1 else self.plenty)
        order |= {"customer_id": self.customer, "policy": _POLICY | {"fast_path": random.random() < 0.7}}
        if random.random() < 0.2:
            order["carrier"] = "by_event"
        if random.random() < 0.1:
            order["payment_token"] = random.choice(("tok_declined", "tok_expires_before_capture"))
        faults = [self._any_fault(random) for _ in range(random.choice((0, 0, 1, 1, 2)))]
        return order | {"faults": [fault.model_dump(mode="json", exclude_none=True) for fault in faults]}

    def _any_fault(self, random: Random) -> Fault:
        step = random.choice([step for place in self.definition.places for step in place])
        phase = random.choice(list(Phase)) if step.undo else Phase.ACTION
        refusals = step.refusals if phase is Phase.ACTION else step.undo_refusals
        kind = random.choice([kind for kind in FaultKind if kind is not FaultKind.REFUSE or refusals])
        times: int | str = random.choice((1, 2, "always")) if kind is not FaultKind.CRASH_WORKER else 1
        more: dict[str, object] = {}
        if kind in (FaultKind.SLOW, FaultKind.LATE):
            more["delay_ms"] = random.randrange(_LATEST_MS)
        if kind is FaultKind.CRASH_WORKER:
            more["moment"] = random.choice(list(Moment))
        return Fault.model_validate({"step": step.name, "phase": phase, "kind": kind, "times": times, **more})


def _outcome(saga: SagaView) -> str:
    return f"{saga.status}, {saga.cause}" if saga.cause else str(saga.status)


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {"max": seconds[-1]} if seconds else {}
    cuts = quantiles(seconds, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2), "max": round(seconds[-1], 2)}
