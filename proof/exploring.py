"""Runs the cases, many at once, and judges each."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random

from contracts.sagas import DefinitionView
from proof.cases import Case, Group
from proof.doors import Doors
from proof.enumeration import enumerate_cases
from proof.judging import Record, judge
from proof.prediction import Prediction, predict
from proof.running import Engine, Observation, Run
from proof.subjects import Subject

_WITHIN_S = 90.0
"""How long a case may take. None takes half of it, but machines stand still at times."""
_TRIES = 4
"""How often a case is run at most: again if it misses its moment, or if it ends otherwise than foretold after a failure
that nobody had injected. Whatever its audit or its replay finds is never put down to that."""
_KILLERS_BESIDE_WORKERS = 3
"""How many more cases than there are workers may kill them at a time: so few that nobody's attempts run out by others'
kills, while nobody waits for others, either."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cases to run, out of all; without anything said, all."""

    only: Sequence[str] = ()
    """Patterns of names."""
    groups: Sequence[Group] = ()
    sample: int | None = None
    seed: int = 0
    """Chooses the sample, and the order in which the cases run."""

    def of(self, cases: Iterable[Case]) -> list[Case]:
        chosen = [case for case in cases if self._wants(case)]
        Random(self.seed).shuffle(chosen)  # noqa: S311 - no secret
        chosen = chosen[: self.sample]
        return sorted(chosen, key=lambda case: (case.kills_workers, case.alone))

    def _wants(self, case: Case) -> bool:
        named = not self.only or any(fnmatchcase(case.name, pattern) for pattern in self.only)
        return named and (not self.groups or case.group in self.groups)


@dataclass(frozen=True, slots=True)
class Explorer:
    """Proves one saga on a running system."""

    doors: Doors
    subject: Subject
    definition: DefinitionView
    engine: Engine
    workers: int
    """How many the system has."""

    @classmethod
    async def of(cls, doors: Doors, subject: Subject, engine: Engine, *, workers: int) -> "Explorer":
        return cls(doors, subject, await doors.definition(subject.definition), engine, workers)

    def cases(self, selection: Selection) -> list[Case]:
        return selection.of(enumerate_cases(self.subject.name, self.definition))

    async def explore(self, cases: Iterable[Case], *, jobs: int) -> AsyncIterator[Record]:
        """The records of the cases, as they come in.

        Raises:
            CannotProve: the system cannot be driven.
        """
        cases = list(cases)
        for disturbance, at_once in (
            ((False, False), jobs),
            ((True, False), min(jobs, self.workers + _KILLERS_BESIDE_WORKERS)),
            ((True, True), 1),
        ):
            free = asyncio.Semaphore(at_once)

            async def run(case: Case, free: asyncio.Semaphore = free) -> Record:
                async with free:
                    return await self._run(case)

            tasks = [
                asyncio.create_task(run(case)) for case in cases if (case.kills_workers, case.alone) == disturbance
            ]
            try:
                for task in asyncio.as_completed(tasks):
                    yield await task
            finally:
                for pending in tasks:
                    pending.cancel()

    async def _run(self, case: Case) -> Record:
        prediction = predict(self.definition, case)
        for tries in range(1, _TRIES + 1):
            run = Run(self.doors, self.subject, self.engine, case, prediction.stuck, _WITHIN_S)
            observed = await run.observe()
            record = judge(case, prediction, observed, tries)
            proves_wrong = observed.violations or observed.replay
            if record.as_predicted or proves_wrong or not _by_chance(prediction, observed):
                break
        return record


def _by_chance(prediction: Prediction, observed: Observation) -> bool:
    """Whether the machine was too busy for the case to be what it is about."""
    if observed.end is None:
        return False
    missed = not all(observed.enacted[place].enacted for place in prediction.enacted)
    return missed or observed.disturbance is not None or not observed.cancelled_in_time
