"""The outcomes of accepted actions, which services announce as events and a listener brings as signals.

Guarantees: an outcome may come before anybody waits for it, and more than once; the first one counts. One for a step
that nobody waits for, because the saga has turned for instance, is kept and changes nothing. A signal that makes no
sense is passed over.
"""

from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from temporalio import workflow

from contracts.wire import Outcome, Reply, StepOutcome
from workflows.names import STEP_OUTCOME
from workflows.saga.attempts import Done, Refused
from workflows.saga.definition import Step


class Outcomes:
    """Those of one saga."""

    def __init__(self) -> None:
        self._told: dict[str, StepOutcome] = {}
        workflow.set_signal_handler(STEP_OUTCOME, self._note)

    def of(self, step: Step) -> Done | Refused | None:
        """What an event has said about the step, if one has come."""
        told = self._told.get(step.name)
        if told is None:
            return None
        return Refused(told.refusal, told.message) if told.refusal else Done(Reply(outcome=Outcome.DONE))

    def _note(self, *said: Any) -> None:
        # By hand anybody can send anything, and an exception here would suspend the saga.
        with suppress(IndexError, ValidationError):
            outcome = StepOutcome.model_validate(said[0])
            self._told.setdefault(outcome.step, outcome)
