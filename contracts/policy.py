"""Timeouts and retries of a saga.

They are part of the saga's input: fixed when it starts, visible in its history, the same on every replay. Which
values a new saga gets is a matter of settings.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.base import Contract

Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]
Deadline = Annotated[float, Field(gt=0, le=86_400)]
"""Of one order, in seconds."""

TASK_TIMEOUT_S = 3.0
"""Of a workflow task. A dead worker's sagas wait this long before another worker takes them over."""


class Policy(Contract):
    """Defaults for services on the same network. All times are in seconds."""

    deadline_s: Seconds = 60.0
    """From the start of the saga to its pivot."""
    fast_timeout_s: Seconds = 1.0
    """Of the first attempt of a step, made as a local activity."""
    attempt_timeout_s: Seconds = 5.0
    """Of each further attempt, made as a regular activity."""
    retry_initial_s: Seconds = 0.5
    retry_max_s: Seconds = 30.0
    action_attempts: Annotated[int, Field(ge=1)] = 5
    """Before the saga unwinds; the fast attempt counts."""
    stuck_after: Annotated[int, Field(ge=1)] = 5
    """Attempts of a pivot, retriable, fence or compensation after which the saga shows as stuck."""
    ask_interval_s: Seconds = 10.0
    """How long to wait for the event that brings an accepted action's outcome, before asking the service for it."""
    fast_path: bool = True
    """Whether steps run as local activities first."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        # A workflow task that runs longer than 80 % of its time-out costs a heartbeat, which is two more events.
        limit_s = 0.8 * TASK_TIMEOUT_S
        if self.fast_timeout_s > limit_s:
            raise ValueError(f"fast_timeout_s: at most {limit_s:g} s, see TASK_TIMEOUT_S")
        if self.retry_max_s < self.retry_initial_s:
            raise ValueError("retry_max_s: must not be below retry_initial_s")
        return self
