"""Faults: failures that a user injects, given with the order and enacted by the services.

The plan travels in the saga's input, and with each request as the header `FAULTS_HEADER`: a JSON array of the
faults meant for that step and phase. A service enacts it only where fault injection is enabled.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from contracts.base import Contract

FAULTS_HEADER = "Amends-Faults"
INJECTED_FAULT_HEADER = "Amends-Injected-Fault"
"""Of an answer: the kind of the fault that was enacted in giving it. It comes before the body, which may never come.
A worker that reads `crash_worker` there dies, if fault injection is enabled for it."""


class Phase(StrEnum):
    """Which half of a step. A pivot's compensation phase is its fence."""

    ACTION = "action"
    COMPENSATION = "compensation"


class FaultKind(StrEnum):
    """What goes wrong. Only a refusal and an error before any effect leave no doubt about the effect."""

    REFUSE = "refuse"
    """A business refusal with the fault's `code`, stored as a real refusal would be."""
    ERROR = "error"
    """503 before any effect."""
    LOST_REPLY = "lost_reply"
    """The effect is committed, then the connection drops without a reply."""
    LATE = "late"
    """The caller times out first; `delay_ms` after it has hung up the effect is committed."""
    DUPLICATE = "duplicate"
    """The request is processed twice, concurrently."""
    SLOW = "slow"
    """The effect is committed, and the reply comes `delay_ms` later."""
    GARBAGE = "garbage"
    """The effect is committed, and the reply cannot be parsed."""
    CRASH_WORKER = "crash_worker"
    """The worker that sent the command is killed, `moment` before or after the effect."""


class Moment(StrEnum):
    """When a worker dies, seen from the service."""

    BEFORE = "before"
    AFTER = "after"


def _is_absent(value: object) -> bool:
    return value is None


class Fault(Contract):
    """One planned failure. It is enacted the first `times` times its step and phase are called, over crashes."""

    step: Annotated[str, Field(min_length=1, max_length=100)]
    phase: Phase = Phase.ACTION
    kind: FaultKind
    times: Annotated[int, Field(strict=True, ge=1, le=1000)] | Literal["always"] = 1
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")] | None = None
    """Only for `refuse`: one of the codes the step declares; its first one where this is absent."""
    # Left out where absent, so that an order's digest stays what it was before these fields were known.
    delay_ms: Annotated[int, Field(strict=True, ge=0, le=60_000)] | None = Field(default=None, exclude_if=_is_absent)
    """For `slow` (which needs it) and `late` (0 where absent)."""
    moment: Moment | None = Field(default=None, exclude_if=_is_absent)
    """Only for `crash_worker`; after the effect where absent."""


Faults = Annotated[tuple[Fault, ...], Field(max_length=100)]

FAULT_PLAN: TypeAdapter[tuple[Fault, ...]] = TypeAdapter(tuple[Fault, ...])
"""Parses and writes the header's value."""


class EnactedFault(Contract):
    """How often a service has enacted one fault of a plan."""

    key: str
    """Of the command: `saga_id:step`."""
    phase: Phase
    place: int
    """Its place among the faults that the plan has for that step and phase, from 0."""
    kind: FaultKind
    times: int
