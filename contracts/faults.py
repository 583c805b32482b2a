"""Faults: failures that a user injects, given with the order and enacted by the services.

The plan travels in the saga's input, and with each request as the header `FAULTS_HEADER`: a JSON array of the
faults meant for that step and phase. A service enacts it only where fault injection is enabled.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from contracts.base import Contract

FAULTS_HEADER = "Amends-Faults"


class Phase(StrEnum):
    """Which half of a step. A pivot's compensation phase is its fence."""

    ACTION = "action"
    COMPENSATION = "compensation"


class FaultKind(StrEnum):
    """A business refusal; an error before any effect; or an effect whose reply is lost."""

    REFUSE = "refuse"
    """A business refusal with the fault's `code`, stored as a real refusal would be."""
    ERROR = "error"
    """503 before any effect."""
    LOST_REPLY = "lost_reply"
    """The effect is committed, then the connection drops without a reply."""


class Fault(Contract):
    """One planned failure. It is enacted the first `times` times its step and phase are called, over crashes."""

    step: Annotated[str, Field(min_length=1, max_length=100)]
    phase: Phase = Phase.ACTION
    kind: FaultKind
    times: Annotated[int, Field(strict=True, ge=1, le=1000)] | Literal["always"] = 1
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")] | None = None
    """Only for `refuse`: one of the codes the step declares; its first one where this is absent."""


FAULT_PLAN: TypeAdapter[tuple[Fault, ...]] = TypeAdapter(tuple[Fault, ...])
"""Parses and writes the header's value."""
