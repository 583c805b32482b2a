"""What a saga definition is turned down for, when it is imported."""

import pytest

from api.web.kinds import KINDS
from contracts.sagas import StepKind
from run.worker import WORKFLOWS
from tests.support.participants import Command
from workflows.definitions import DEFINITIONS
from workflows.saga.definition import InvalidDefinition, Operation, Parallel, SagaDefinition, Step


def operation(name: str) -> Operation:
    return Operation(name, lambda *_: Command(step=name))


def step(
    name: str, kind: StepKind = StepKind.COMPENSATABLE, *, done_by: str | None = None, refused_by: str | None = None
) -> Step:
    undo = None if kind is StepKind.RETRIABLE else operation(f"undo_{name}")
    return Step(name, kind, "test", operation(f"do_{name}"), undo, done_by=done_by, refused_by=refused_by)


def without_undo(name: str, kind: StepKind) -> Step:
    return Step(name, kind, "test", operation(f"do_{name}"))


A, B = step("a"), step("b")
PIVOT, RETRIABLE = step("p", StepKind.PIVOT), step("r", StepKind.RETRIABLE)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ((), "at least one step"),
        ((A, A), "step names must be unique, these are not: a"),
        ((A, Step("b", StepKind.COMPENSATABLE, "test", A.action, B.undo)), "these serve more: do_a"),
        ((without_undo("a", StepKind.COMPENSATABLE),), "a is compensatable and needs a compensation"),
        ((A, without_undo("p", StepKind.PIVOT)), "p is the pivot and needs a fence"),
        ((Step("r", StepKind.RETRIABLE, "test", A.action, A.undo),), "it has no compensation"),
        (((A, PIVOT),), "a parallel group holds one kind: a, p"),
        ((A, (PIVOT, step("q", StepKind.PIVOT))), "the pivot stands alone in its place"),
        ((PIVOT, A), "compensatable steps come first"),
        ((PIVOT, step("q", StepKind.PIVOT)), "at most one pivot"),
        ((A, RETRIABLE), "retriable steps follow a pivot"),
        ((A, step("p", StepKind.PIVOT, done_by="X")), "p ends by an event, and so must be compensatable"),
        ((A, PIVOT, step("r", StepKind.RETRIABLE, done_by="X")), "r ends by an event, and so must be compensatable"),
        ((step("a", refused_by="X"),), "it needs one that says it is done"),
        ((step("a", done_by="X"), step("b", done_by="X")), "these are named more often: X"),
        ((step("a", done_by="X", refused_by="X"),), "these are named more often: X"),
    ],
)
def test_definition_when_a_rule_is_broken_then_turned_down_with_the_reason(
    table: tuple[Step | Parallel, ...], complaint: str
) -> None:
    with pytest.raises(InvalidDefinition, match=complaint):
        SagaDefinition("broken", table)


def test_diagram_when_a_step_may_end_by_events_then_they_lead_to_it() -> None:
    view = SagaDefinition("saga", (step("a", done_by="Did", refused_by="Refused"),)).view()

    assert "  Did>Did] -. may end .-> a" in view.diagram
    assert "  Refused>Refused] -. may end .-> a" in view.diagram
    assert (view.places[0][0].done_by, view.places[0][0].refused_by) == ("Did", "Refused")


def test_sagas_when_defined_are_all_run_by_workers_and_served_by_the_api() -> None:
    defined = [definition.name for definition in DEFINITIONS]

    assert [vars(saga)["__temporal_workflow_definition"].name for saga in WORKFLOWS] == defined
    assert [kind.sagas.definition.name for kind in KINDS] == defined
