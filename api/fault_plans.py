"""Fault plans: whether one can be enacted at all, checked before anything starts, and what was enacted of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from api.web.problems import ApiProblem
from contracts.faults import EnactedFault, Fault, FaultKind, Phase
from contracts.policy import Policy
from workflows.saga.definition import SagaDefinition


def check_faults(
    faults: tuple[Fault, ...], policy: Policy | None, definition: SagaDefinition, *, enabled: bool
) -> None:
    """Returns if the plan can be enacted, with a policy of the saga's own or without.

    Raises:
        ApiProblem: 403 where fault injection is off, 422 where a fault makes no sense.
    """
    if not enabled and (faults or policy):
        field = "faults" if faults else "policy"
        raise ApiProblem(
            HTTPStatus.FORBIDDEN,
            "FAULT_INJECTION_DISABLED",
            f"this system does not inject faults; leave `{field}` out, or enable fault injection in its settings",
        )
    errors = [
        {"loc": ["faults", index, place], "msg": message, "type": "fault"}
        for index, fault in enumerate(faults)
        for place, message in _objections(fault, definition)
    ]
    if errors:
        detail = f"{_dotted(errors[0]['loc'])}: {errors[0]['msg']}"
        raise ApiProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_FAULT", detail, errors=errors)


def enactments(plan: tuple[Fault, ...], enacted: Iterable[EnactedFault]) -> Iterator[int]:
    """How often each fault of a saga's plan was enacted, in the order of the plan."""
    times = {(one.key.rpartition(":")[2], one.phase, one.place): one.times for one in enacted}
    places: Counter[tuple[str, Phase]] = Counter()
    for fault in plan:
        half = fault.step, fault.phase
        # Services see, and count, only the faults for their step and phase.
        yield times.get((*half, places[half]), 0)
        places[half] += 1


def _objections(fault: Fault, definition: SagaDefinition) -> Iterator[tuple[str, str]]:
    steps = {step.name: step for step in definition.steps}
    if fault.step not in steps:
        yield "step", f"there is no such step; the steps are {', '.join(steps)}"
        return
    step = steps[fault.step]
    operation = step.action if fault.phase is Phase.ACTION else step.undo
    if operation is None:
        yield "phase", f"{step.name} has no compensation"
        return
    yield from _misplaced(fault)
    if fault.kind is FaultKind.REFUSE:
        if not operation.refusals:
            yield "kind", f"{operation.name} cannot be refused"
        elif fault.code is not None and fault.code not in operation.refusals:
            yield "code", f"{operation.name} declares only {', '.join(operation.refusals)}"
    if fault.kind is FaultKind.SLOW and fault.delay_ms is None:
        yield "delay_ms", "says by how much the reply is delayed"
    if fault.kind is FaultKind.CRASH_WORKER and fault.times == "always":
        yield "times", "a worker that always dies would never end; say how often"


def _misplaced(fault: Fault) -> Iterator[tuple[str, str]]:
    """Fields that say nothing about that kind of fault."""
    if fault.code is not None and fault.kind is not FaultKind.REFUSE:
        yield "code", "only a refusal has a code"
    if fault.delay_ms is not None and fault.kind not in (FaultKind.SLOW, FaultKind.LATE):
        yield "delay_ms", "only slow and late faults have a delay"
    if fault.moment is not None and fault.kind is not FaultKind.CRASH_WORKER:
        yield "moment", "only the crash of a worker has a moment"


def _dotted(loc: Any) -> str:
    return ".".join(str(part) for part in loc)
