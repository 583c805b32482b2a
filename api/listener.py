"""The listener: takes the public events that sagas wait for to them, as signals.

Guarantees:
- An event is told at least once, in any order, and again whenever its log is read again; sagas take no notice of what
  they know already. What is passed over without a word is of no saga that waits.
- While Temporal is away nothing is passed over: the events come again (`NotNow`).

An event counts if a step's definition names its type, its service is that step's, and it says that it is awaited: the
same types announce what was done at once, which the saga knows by the reply.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import structlog
from pydantic import BaseModel, ValidationError

from api.temporal import SagaOver, TemporalUnavailable
from contracts.events import PublicEvent
from contracts.wire import StepOutcome
from messaging.port import NotNow
from messaging.reasons import reason_of
from workflows.saga.definition import SagaDefinition

NAME = "listener"
_AT_ONCE = 20
"""How many signals are under way together."""


class Sagas(Protocol):
    """Where sagas are told of outcomes: `api.temporal.Temporal`."""

    async def tell(self, saga_id: str, outcome: StepOutcome) -> None:
        """Telling it again is harmless.

        Raises:
            SagaOver: it has ended, or there never was one.
            TemporalUnavailable: it may have been told, or not.
        """


@dataclass(frozen=True, slots=True)
class Awaited:
    """What an event of a type tells about which step."""

    step: str
    refuses: bool


class Said(BaseModel):
    """What we read of an event."""

    awaited: bool = False


class Refused(BaseModel):
    code: str
    message: str = ""


class Listener:
    """Tells the sagas of all definitions; each looks at the steps that are its own."""

    def __init__(self, definitions: Iterable[SagaDefinition], sagas: Sagas) -> None:
        self._awaited: dict[tuple[str, str], list[Awaited]] = defaultdict(list)
        for event, awaited in chain.from_iterable(map(_awaited_by, definitions)):
            self._awaited[event].append(awaited)
        self._sagas = sagas
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._log = structlog.get_logger().bind(consumer=NAME)

    async def deliver(self, events: Sequence[PublicEvent]) -> None:
        """Returns when every saga that waits for one of the events has been told.

        Raises:
            NotNow: some were not, because Temporal is away.
        """
        told = await asyncio.gather(*map(self._deliver, events), return_exceptions=True)
        # All have ended by now: none goes on behind anybody's back, whatever became of another one.
        for error in told:
            if isinstance(error, BaseException):
                raise error

    async def _deliver(self, event: PublicEvent) -> None:
        if event.sagaid is None:
            return
        for awaited in self._awaited.get((event.service, event.type), ()):
            outcome = self._outcome_of(event, awaited)
            if outcome is not None:
                await self._tell(event, event.sagaid, outcome)

    async def _tell(self, event: PublicEvent, saga_id: str, outcome: StepOutcome) -> None:
        log = self._log.bind(saga_id=saga_id, step=outcome.step, event_type=event.type)
        async with self._turn:
            try:
                await self._sagas.tell(saga_id, outcome)
            except SagaOver:
                log.debug("nobody waits")
            except TemporalUnavailable as error:
                raise NotNow(str(error)) from error
            else:
                log.info("told")

    def _outcome_of(self, event: PublicEvent, awaited: Awaited) -> StepOutcome | None:
        try:
            if not Said.model_validate(event.data).awaited:
                return None
            refused = Refused.model_validate(event.data) if awaited.refuses else None
        except ValidationError as error:
            # It holds up no other saga. The one that waits for it learns the outcome by asking the service again.
            self._log.error("unreadable event", id=event.id, event_type=event.type, reason=reason_of(error))
            return None
        if refused is None:
            return StepOutcome(step=awaited.step, event=event.type)
        return StepOutcome(step=awaited.step, event=event.type, refusal=refused.code, message=refused.message)


def services_followed(definitions: Iterable[SagaDefinition]) -> tuple[str, ...]:
    """Those whose events any of their steps can wait for."""
    return tuple(sorted({service for (service, _), _ in chain.from_iterable(map(_awaited_by, definitions))}))


def _awaited_by(definition: SagaDefinition) -> Iterator[tuple[tuple[str, str], Awaited]]:
    """By service and type of event."""
    for step in definition.steps:
        if step.done_by is not None:
            yield (step.service, step.done_by), Awaited(step.name, refuses=False)
        if step.refused_by is not None:
            yield (step.service, step.refused_by), Awaited(step.name, refuses=True)
