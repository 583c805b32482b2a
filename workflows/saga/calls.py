"""The calls of one saga: which key, command and faults they carry, how long they may take, and what stops them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from temporalio import workflow

from contracts.faults import Fault, Phase
from contracts.policy import Policy
from contracts.sagas import Cause, StepKind
from workflows.saga.attempts import Attempts
from workflows.saga.definition import Step


class Calls:
    """Shared by everything in one saga that calls services."""

    def __init__(self, order: Any, policy: Policy, faults: tuple[Fault, ...]) -> None:
        self.policy = policy
        self.cancelled = False
        self._order = order
        self._faults = faults
        self._saga_id = workflow.info().workflow_id
        # From the first start, also after a reset: `start_time` would be that of the new run's first task.
        self._deadline = workflow.info().workflow_start_time + timedelta(seconds=policy.deadline_s)
        self._in_flight: dict[str, Attempts] = {}

    def time_left(self) -> timedelta:
        """Until the deadline; zero or less when it has passed."""
        return self._deadline - workflow.now()

    def cancel(self) -> None:
        """Stops the retries of actions that may still be given up. Nothing else is touched, now or later."""
        self.cancelled = True
        for attempts in list(self._in_flight.values()):
            if attempts.yields_to_cancel:
                attempts.interrupt()

    def interrupt(self, step: str) -> None:
        """Settles the step's attempts, if any are in flight."""
        if step in self._in_flight:
            self._in_flight[step].interrupt()

    def end_faults(self) -> None:
        """From now on no call carries injected faults."""
        self._faults = ()

    @contextmanager
    def attempts(self, step: Step, phase: Phase, cause: Cause | None = None) -> Iterator[Attempts]:
        """The attempts of one half of a step, open to interruption as long as the context lasts."""
        if phase is Phase.ACTION:
            operation, command = step.action, step.action.command(self._order)
        else:
            assert step.undo is not None  # noqa: S101 - definitions are checked
            operation, command = step.undo, step.undo.command(self._order, cause)
        attempts = Attempts(
            operation,
            command,
            key=f"{self._saga_id}:{step.name}",
            policy=self.policy,
            faults=lambda: tuple(f for f in self._faults if f.step == step.name and f.phase is phase),
            yields_to_cancel=phase is Phase.ACTION and step.kind is not StepKind.RETRIABLE,
            may_be_accepted=phase is Phase.ACTION and step.done_by is not None,
        )
        self._in_flight[step.name] = attempts
        try:
            yield attempts
        finally:
            del self._in_flight[step.name]
