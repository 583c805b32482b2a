"""Compares what became of a case with what was foretold, and with what must always be. Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field, computed_field

from contracts.base import Contract
from contracts.faults import Fault
from contracts.sagas import CancelState, Cause
from proof.cases import Case, Group, Half, Path
from proof.prediction import Prediction
from proof.running import Observation


class Record(Contract):
    """A case, what was foretold, and what became of it: one entry of `proof.json`."""

    name: str
    saga: str
    group: Group
    path: Path
    faults: tuple[Fault, ...]
    cancel: str | None
    deadline_s: float | None
    predicted: str
    observed: str
    surprises: tuple[str, ...]
    """What is not as it must be; nothing, if the case proves what it is meant to."""
    order_id: UUID
    saga_id: str
    temporal_ui: str
    took_s: float
    tries: int = 1
    """How often it was run: again if its cancellation missed its moment, or a failure came that was not injected."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @computed_field  # type: ignore[prop-decorator] # as pydantic says to
    @property
    def verdict(self) -> Literal["as predicted", "surprise"]:
        return "surprise" if self.surprises else "as predicted"

    @property
    def as_predicted(self) -> bool:
        return not self.surprises


def judge(case: Case, prediction: Prediction, observed: Observation, tries: int) -> Record:
    """The record of a case."""
    saga = observed.saga
    return Record(
        name=case.name,
        saga=case.saga,
        group=case.group,
        path=case.path,
        faults=case.faults,
        cancel=str(case.cancel) if case.cancel else None,
        deadline_s=case.deadline_s,
        predicted=_told(" or ".join(map(str, prediction.ends)), prediction.stuck),
        observed=_told(str(observed.end or saga.status), observed.stuck),
        surprises=tuple(_surprises(case, prediction, observed)),
        order_id=saga.order_id,
        saga_id=saga.saga_id,
        temporal_ui=saga.links.temporal_ui,
        took_s=round(observed.took_s, 2),
        tries=tries,
    )


def _surprises(case: Case, prediction: Prediction, observed: Observation) -> Iterator[str]:
    if observed.end is None:
        yield f"it did not end in time, and is {observed.saga.status}"
        return
    if observed.end not in prediction.ends:
        yield f"it ended {observed.end}, predicted was {' or '.join(map(str, prediction.ends))}"
    if observed.stuck != prediction.stuck:
        yield f"it was stuck at {_listed(observed.stuck)}, predicted was {_listed(prediction.stuck)}"
    failure = observed.saga.failure
    if prediction.failure and (failure is None or (failure.step, failure.code) != prediction.failure):
        where = f"{failure.code} at {failure.step}" if failure else "nothing"
        yield f"it turned for {where}, predicted was {prediction.failure[1]} at {prediction.failure[0]}"
    effective = observed.saga.cancel is CancelState.EFFECTIVE
    if effective is not (observed.saga.cause is Cause.CANCELLED):
        yield f"its cancel is {observed.saga.cancel}, its cause {observed.saga.cause}"
    if case.reset is not observed.was_reset:
        yield "it was never reset" if case.reset else "it was reset, which nobody did"
    if not observed.cancelled_in_time:
        yield "it was never cancelled at the moment that the case is about"
    if observed.disturbance is not None and (observed.end not in prediction.ends or observed.stuck != prediction.stuck):
        yield f"a failure came that nobody had injected: {observed.disturbance}"
    for place in prediction.enacted:
        if not observed.enacted[place].enacted:
            fault = case.faults[place]
            yield f"the fault {fault.kind} at {fault.step}, {fault.phase}, was never enacted"
    for verdict in observed.violations:
        yield f"audit: {verdict.invariant}: {'; '.join(verdict.evidence)}"
    if observed.replay is not None:
        yield f"its history does not replay: {observed.replay}"


def _told(end: str, stuck: Iterable[Half]) -> str:
    return f"{end} (stuck at {_listed(stuck)})" if stuck else end


def _listed(halves: Iterable[Half]) -> str:
    return ", ".join(sorted(map(str, halves))) or "nothing"
