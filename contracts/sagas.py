"""What the outside sees of a saga: its definition, its view, its history, and what an operator may decide."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from contracts.base import Contract
from contracts.faults import Phase


class StepKind(StrEnum):
    """Before the pivot a step can be compensated; after it, it is retried until it succeeds."""

    COMPENSATABLE = "compensatable"
    PIVOT = "pivot"
    RETRIABLE = "retriable"


class SagaStatus(StrEnum):
    """Running, unwinding and stuck sagas are on their way; a terminated one was ended from outside."""

    RUNNING = "running"
    UNWINDING = "unwinding"
    STUCK = "stuck"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FORCED = "forced"
    TERMINATED = "terminated"
    """Ended from outside, without compensation. No saga gets there by itself."""


class Cause(StrEnum):
    """Why a saga unwinds."""

    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"


class StepState(StrEnum):
    """How far a step is. A waiting one is between two attempts, a skipped one was left out by an operator."""

    PENDING = "pending"
    STARTED = "started"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    NOTHING_TO_UNDO = "nothing_to_undo"
    STUCK = "stuck"
    SKIPPED = "skipped"


class CancelState(StrEnum):
    """What became of a cancellation. The pivot has the last word."""

    REQUESTED = "requested"
    EFFECTIVE = "effective"
    TOO_LATE = "too_late"


class StepFailure(Contract):
    """What turned the saga, or keeps it stuck."""

    step: str
    code: str
    message: str


class StepView(Contract):
    name: str
    kind: StepKind
    state: StepState
    attempts: int = 0
    """Attempts of the action so far, on either path."""
    path: Literal["fast", "durable"] | None = None
    """Fast: as a local activity. Durable: as an activity of its own, visible in Temporal."""
    compensation_attempts: int = 0
    """Attempts of the compensation, or of the pivot's fence."""
    last_failure: str | None = None
    next_attempt_at: datetime | None = None
    """Of a step that waits."""


class Links(Contract):
    self: str
    history: str
    events: str
    temporal_ui: str


class Residue(Contract):
    """An effect that an operator chose to leave in place, or to leave out."""

    step: str
    phase: Phase


class SagaView(Contract):
    order_id: UUID
    saga_id: str
    status: SagaStatus
    cause: Cause | None = None
    """Why it unwinds, or did."""
    cancel: CancelState | None = None
    total_minor: int
    currency: str
    failure: StepFailure | None = None
    residue: tuple[Residue, ...] = ()
    """What operators decided to leave as it is."""
    steps: tuple[StepView, ...]
    started_at: datetime
    ended_at: datetime | None = None
    suspended: str | None = None
    """Why the engine cannot go on (a fault in workflow code), until a fix is deployed."""
    links: Links


class HistoryEntry(Contract):
    """One thing that happened in a saga."""

    event_id: int
    """Of the Temporal event it is taken from: unique, growing, good for paging."""
    at: datetime
    what: str
    step: str | None = None
    phase: Phase | None = None
    path: Literal["fast", "durable"] | None = None
    attempt: int | None = None
    outcome: str | None = None
    detail: str | None = None


class HistoryPage(Contract):
    order_id: UUID
    saga_id: str
    entries: tuple[HistoryEntry, ...]
    next: str | None = None
    """The link to the next page."""


class DecisionKind(StrEnum):
    """Retry now; go on without the step; or give up a pivot, which fences it and unwinds."""

    RETRY = "retry"
    SKIP = "skip"
    GIVE_UP = "give_up"


class Decision(Contract):
    """An operator's answer for a stuck step."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"step": "book_shipment", "decision": "retry", "reason": "the carrier is back"}]
        }
    )

    step: Annotated[str, Field(min_length=1, max_length=100)]
    decision: DecisionKind
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    without_faults: bool = False
    """No call of this saga that begins from now on carries injected faults; stuck steps begin theirs anew at once."""


class RecordedDecision(Decision):
    """A decision as the saga is told it, and as its history keeps it."""

    attempts_before: Annotated[int, Field(ge=0)] = 0
    """How often the stuck activity had been attempted. Temporal forgets that when a decision stops its retries."""


class StepDefinitionView(Contract):
    name: str
    kind: StepKind
    service: str
    action: str
    refusals: tuple[str, ...]
    undo: str | None
    """The compensation, or the pivot's fence."""
    undo_refusals: tuple[str, ...]
    done_by: str | None = None
    """The public event that says that the action is done, where the service has only accepted it."""
    refused_by: str | None = None
    """The public event that says that it is refused."""


class DefinitionView(Contract):
    name: str
    places: tuple[tuple[StepDefinitionView, ...], ...]
    """In order; the steps of one place run in parallel."""
    diagram: str
    """As Mermaid text."""
