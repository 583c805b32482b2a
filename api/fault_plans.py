"""Whether an order's fault plan can be enacted at all, checked against the saga's definition before anything starts."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from api.web.problems import ApiProblem
from contracts.faults import Fault, FaultKind, Phase
from workflows.saga.definition import SagaDefinition


def check_faults(faults: tuple[Fault, ...], definition: SagaDefinition, *, enabled: bool) -> None:
    """Returns if the plan can be enacted.

    Raises:
        ApiProblem: 403 where fault injection is off, 422 where a fault makes no sense.
    """
    if not faults:
        return
    if not enabled:
        raise ApiProblem(
            HTTPStatus.FORBIDDEN,
            "FAULT_INJECTION_DISABLED",
            "this system does not inject faults; leave `faults` out, or enable fault injection in its settings",
        )
    errors = [
        {"loc": ["faults", index, place], "msg": message, "type": "fault"}
        for index, fault in enumerate(faults)
        for place, message in _objections(fault, definition)
    ]
    if errors:
        detail = f"{_dotted(errors[0]['loc'])}: {errors[0]['msg']}"
        raise ApiProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_FAULT", detail, errors=errors)


def _objections(fault: Fault, definition: SagaDefinition) -> Iterator[tuple[str, str]]:
    steps = {step.name: step for step in definition.steps}
    if fault.step not in steps:
        yield "step", f"there is no such step; the steps are {', '.join(steps)}"
        return
    step = steps[fault.step]
    operation = step.action if fault.phase is Phase.ACTION else step.undo
    if operation is None:
        yield "phase", f"{step.name} has no compensation"
    elif fault.kind is not FaultKind.REFUSE:
        if fault.code is not None:
            yield "code", "only a refusal has a code"
    elif not operation.refusals:
        yield "kind", f"{operation.name} cannot be refused"
    elif fault.code is not None and fault.code not in operation.refusals:
        yield "code", f"{operation.name} declares only {', '.join(operation.refusals)}"


def _dotted(loc: Any) -> str:
    return ".".join(str(part) for part in loc)
