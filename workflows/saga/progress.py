"""What a running saga shows of itself: search attributes on each transition, and a table of its steps in the Web UI.

The attributes cost one history event a transition, the table none. Nothing in here decides anything.
"""

from collections.abc import Iterable

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from contracts.sagas import Cause, SagaStatus, StepFailure, StepState
from workflows.names import FAILED_STEP, FAILURE_CODE, SAGA_CAUSE, SAGA_STATUS
from workflows.saga.statuses import Happening, next_status


class Progress:
    """The status of a saga and of its steps. What happens to it is told here, and shown."""

    def __init__(self, steps: Iterable[str]) -> None:
        self.status = SagaStatus.RUNNING
        self._cause: Cause | None = None
        self._turned_by: StepFailure | None = None
        self._states = dict.fromkeys(steps, StepState.PENDING)
        # What the API started the workflow with.
        self._shown: dict[SearchAttributeKey[str], str | None] = {SAGA_STATUS: self.status}
        self._draw()

    def turn(self, cause: Cause, failure: StepFailure | None) -> None:
        """The saga turns to unwinding."""
        self._cause, self._turned_by = cause, failure
        self._move(Happening.UNWIND)

    def turn_forward(self) -> None:
        """Its pivot has already happened: what seemed to be a reason to unwind is none."""
        self._cause = self._turned_by = None
        self._move(Happening.GO_FORWARD)

    def stall(self, failure: StepFailure) -> None:
        """A step is stuck."""
        self._move(Happening.STALL, failure)

    def move_on(self) -> None:
        """No step is stuck any more: the saga goes on in its direction."""
        self._move(Happening.UNWIND if self._cause else Happening.GO_FORWARD)

    def end(self, happening: Happening) -> None:
        self._move(happening)

    def _move(self, happening: Happening, stuck_by: StepFailure | None = None) -> None:
        """The only way from one status to another. Raises IllegalTransition from `next_status`."""
        self.status = next_status(self.status, happening)
        failure = stuck_by or self._turned_by
        self._publish(
            {
                SAGA_STATUS: self.status,
                SAGA_CAUSE: self._cause,
                FAILED_STEP: failure.step if failure else None,
                FAILURE_CODE: failure.code if failure else None,
            }
        )
        self._draw()

    def step(self, name: str, state: StepState) -> None:
        self._states[name] = state
        self._draw()

    def state_of(self, name: str) -> StepState:
        return self._states[name]

    def _publish(self, attributes: dict[SearchAttributeKey[str], str | None]) -> None:
        changed = {key: value for key, value in attributes.items() if self._shown.get(key) != value}
        if changed:
            workflow.upsert_search_attributes(
                [key.value_unset() if value is None else key.value_set(value) for key, value in changed.items()]
            )
        self._shown |= changed

    def _draw(self) -> None:
        # The Web UI draws tables without any space between their columns; an em space is none that it trims.
        rows = "\n".join(f"| {name} | \u2003{state} |" for name, state in self._states.items())
        because = f" ({self._cause})" if self._cause else ""
        workflow.set_current_details(f"### Saga **{self.status}**{because}\n\n| step | state |\n|---|---|\n{rows}")
