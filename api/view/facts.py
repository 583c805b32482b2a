"""The facts of a saga: what Temporal's events say, in the words of sagas. `temporal_events.py` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.faults import Phase
from contracts.sagas import RecordedDecision, SagaStatus
from contracts.wire import Outcome
from workflows.saga_input import SagaInput


class UnreadableHistory(ValueError):
    """The history is not one of such a saga."""


@dataclass(frozen=True, slots=True, order=True)
class Half:
    """A step's action, or its compensation or fence."""

    step: str
    phase: Phase


class Ending(StrEnum):
    """How an operation's attempts ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Answer:
    ending: Ending
    outcome: Outcome | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    event_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Started(Fact):
    saga: SagaInput


@dataclass(frozen=True, slots=True)
class FastAttempt(Fact):
    half: Half
    answer: Answer


@dataclass(frozen=True, slots=True)
class Scheduled(Fact):
    half: Half
    unlimited: bool
    """Attempts without limit: the operation is stuck, or will not be given up."""


@dataclass(frozen=True, slots=True)
class Settled(Fact):
    half: Half
    scheduled_id: int
    attempts: int
    """0 where Temporal did not keep it: retries that were stopped between two attempts."""
    answer: Answer


@dataclass(frozen=True, slots=True)
class Told(Fact):
    """An event has brought the outcome of an accepted action."""

    half: Half
    event: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Interrupting(Fact):
    half: Half


@dataclass(frozen=True, slots=True)
class CancelAsked(Fact):
    reason: str
    attempts_before: Mapping[str, int]
    """Of activities that were pending then, by their names, as far as whoever asked had seen them."""


@dataclass(frozen=True, slots=True)
class Shown(Fact):
    """A transition, as the saga wrote it into its search attributes: those that changed."""

    attributes: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Decided(Fact):
    decision: RecordedDecision
    update_id: str


@dataclass(frozen=True, slots=True)
class TaskDone(Fact):
    pass


@dataclass(frozen=True, slots=True)
class TaskFailed(Fact):
    message: str


@dataclass(frozen=True, slots=True)
class TaskLost(Fact):
    pass


@dataclass(frozen=True, slots=True)
class Reset(Fact):
    reason: str


@dataclass(frozen=True, slots=True)
class Closed(Fact):
    status: SagaStatus
    message: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """A regular activity that is not settled yet."""

    activity: str
    attempt: int
    between_attempts: bool
    last_failure: str | None
    next_attempt_at: datetime | None

    @property
    def attempts(self) -> int:
        """Attempts made so far. Between two of them, Temporal's number is the next one's."""
        return self.attempt - 1 if self.between_attempts else self.attempt
