"""How a command and its answer look on the wire, for every service alike (and for any stand-in for one)."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.base import Contract
from contracts.faults import Fault

IDEMPOTENCY_KEY_HEADER = "Idempotency-Key"
ALREADY_COMPENSATED = "ALREADY_COMPENSATED"
"""The refusal of an action whose step was compensated or fenced before; every step has it, none declares it."""
KEY_REUSED = "KEY_REUSED"
"""422: the same key came with another body."""
STANDING_BY = "STANDING_BY"
"""503: another process is the one at work, and only it can do what was asked."""
PROBLEM_MEDIA_TYPE = "application/problem+json"


class Outcome(StrEnum):
    DONE = "done"
    NOTHING_TO_UNDO = "nothing_to_undo"
    """A compensation whose action never happened; it left a tombstone, so the action never will."""
    ALREADY_DONE = "already_done"
    """A fence that came too late: the pivot has happened, and nothing was changed."""
    ACCEPTED = "accepted"
    """An action that is under way: its outcome will come as an event, and the same command again answers what it is by
    then."""
    FENCED = "fenced"
    """A fence in time: the pivot has not happened and never will."""


class Call(Contract):
    """What travels from a saga to a service beside the command: whose attempt it is, and what may be answered."""

    key: str
    """The idempotency key, `saga_id:step`, shared by a step's action and its compensation or fence."""
    timeout_s: float
    """How long to wait for the answer."""
    refusals: tuple[str, ...] = ()
    """The codes with which a 409 is a refusal, besides ALREADY_COMPENSATED."""
    faults: tuple[Fault, ...] = ()


class EventRef(Contract):
    """A fact that a command added to the order's stream."""

    type: str
    version: int


class Reply(Contract):
    """The 200 answer to a command. The same command again is answered with the same reply, but for `accepted`."""

    outcome: Outcome
    events: tuple[EventRef, ...] = ()
    injected: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The injected fault that came with it, such as `slow`. Only the saga's side writes it down, for the history."""


class StepOutcome(Contract):
    """What an event says about a step whose action was accepted: that it is done, or refused."""

    step: str
    event: str
    """The event's type."""
    refusal: str | None = None
    """The refusal's code; None if the step is done."""
    message: str = ""


class Problem(BaseModel):
    """An error as RFC 9457 describes it, with a stable `code` for programs."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Conflict",
                    "status": 409,
                    "code": "CARD_DECLINED",
                    "detail": "the card was declined",
                }
            ]
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, Any]] = Field(default_factory=list)
    """For malformed input: where it is wrong and why."""
