"""The model that foretells ends, held against what the rules of sagas say, written down case by case."""

from typing import Any

import pytest

from contracts.faults import Fault
from contracts.policy import Policy
from contracts.sagas import DecisionKind, DefinitionView, StepDefinitionView, StepKind
from proof.cases import Cancel, Case, Group, Half, Path, When
from proof.prediction import Prediction, predict
from workflows.order_saga import ORDER_SAGA_DEFINITION

ORDER = ORDER_SAGA_DEFINITION.view()


def a_fault(text: str) -> Fault:
    """`step phase kind times`, with a delay in milliseconds or a moment behind it."""
    step, phase, kind, times, *more = text.split()
    said: dict[str, Any] = {"step": step, "phase": phase, "kind": kind}
    if more:
        said |= {"delay_ms": int(more[0])} if more[0].isdigit() else {"moment": more[0]}
    return Fault.model_validate(said | {"times": "always" if times == "always" else int(times)})


def foretold(*faults: str, definition: DefinitionView = ORDER, path: Path = Path.FAST, **more: Any) -> Prediction:
    policy = Policy(fast_timeout_s=1, attempt_timeout_s=2, action_attempts=3, stuck_after=3)
    case = Case("order", Group.SINGLE, "a case", path, policy, tuple(map(a_fault, faults)), **more)
    return predict(definition, case)


def ends(*faults: str, **more: Any) -> list[str]:
    return [str(end) for end in foretold(*faults, **more).ends]


def stuck(*faults: str, **more: Any) -> set[str]:
    return {str(half) for half in foretold(*faults, **more).stuck}


@pytest.mark.parametrize(
    ("faults", "end"),
    [
        ([], "completed"),
        (["book_shipment action refuse 1"], "compensated, refused"),
        (["book_shipment action error 2"], "completed"),
        (["book_shipment action error 3"], "compensated, failed"),
        (["book_shipment action lost_reply always"], "compensated, failed"),
        (["book_shipment action late 1"], "completed"),
        (["book_shipment action duplicate always"], "completed"),
        (["book_shipment action slow always 1500"], "completed"),
        (["book_shipment action slow always 1900"], "compensated, failed"),
        (["place_order action crash_worker 2 before"], "completed"),
        (["capture_payment action refuse 1"], "compensated, refused"),
        (["capture_payment action garbage always"], "completed"),
        (["confirm_order action refuse always"], "completed"),
        (["capture_payment action refuse 1", "place_order compensation error 2"], "compensated, refused"),
        (["book_shipment action error always", "capture_payment compensation error always"], "compensated, failed"),
    ],
)
def test_end_when_its_operator_retries_then_as_the_rules_say(faults: list[str], end: str) -> None:
    assert ends(*faults) == [end]


@pytest.mark.parametrize(
    ("faults", "at"),
    [
        (["book_shipment action error always"], set()),
        (["capture_payment action error always"], {"capture_payment.action"}),
        (["confirm_order action refuse 1"], {"confirm_order.action"}),
        (["capture_payment action refuse 1", "place_order compensation refuse 1"], {"place_order.compensation"}),
        (
            [
                "capture_payment action refuse 1",
                "place_order compensation error always",
                "book_shipment compensation late always",
            ],
            {"place_order.compensation", "book_shipment.compensation"},
        ),
        # The fence comes first, and whoever retries it without faults retries all without.
        (
            [
                "book_shipment action error always",
                "capture_payment compensation error always",
                "place_order compensation error always",
            ],
            {"capture_payment.compensation"},
        ),
        # Nothing behind the refused place is swept.
        (["authorize_payment action refuse 1", "book_shipment compensation refuse always"], set()),
    ],
)
def test_stuck_when_attempts_run_out_or_an_undo_is_refused_then_there(faults: list[str], at: set[str]) -> None:
    assert stuck(*faults) == at


def test_decision_when_an_undo_is_skipped_then_forced_with_its_cause() -> None:
    faults = ["capture_payment action refuse 1", "place_order compensation error always"]

    assert ends(*faults, decision=DecisionKind.SKIP) == ["forced, refused"]


@pytest.mark.parametrize(
    ("kind", "end"), [("error", "compensated, failed"), ("lost_reply", "completed"), ("late", "completed")]
)
def test_decision_when_the_pivot_is_given_up_then_its_effect_decides(kind: str, end: str) -> None:
    assert ends(f"capture_payment action {kind} always", decision=DecisionKind.GIVE_UP) == [end]


@pytest.mark.parametrize(
    ("half", "when", "kind", "end"),
    [
        ("place_order action", When.IN_FLIGHT, "slow always 1500", "compensated, cancelled"),
        ("book_shipment action", When.WAITING, "error 2", "compensated, cancelled"),
        ("capture_payment action", When.IN_FLIGHT, "slow always 1500", "completed"),
        ("capture_payment action", When.WAITING, "error 2", "compensated, cancelled"),
        ("capture_payment action", When.STUCK, "error always", "compensated, cancelled"),
        ("capture_payment action", When.STUCK, "lost_reply always", "completed"),
        ("confirm_order action", When.STUCK, "error always", "completed"),
    ],
)
def test_cancel_when_it_comes_at_a_moment_then_the_pivot_has_the_last_word(
    half: str, when: When, kind: str, end: str
) -> None:
    fault = a_fault(f"{half} {kind}")
    at = Half(fault.step, fault.phase)

    for in_temporal in (False, True):
        cancel = Cancel(when, at, in_temporal)
        assert ends(f"{half} {kind}", cancel=cancel, path=Path.DURABLE) == [end]


def test_deadline_when_attempts_go_on_until_it_passes_then_it_is_the_cause_but_at_the_pivot() -> None:
    assert ends("book_shipment action error always", deadline_s=1) == ["compensated, deadline"]
    assert ends("book_shipment action slow always 1500", deadline_s=1) == ["compensated, deadline"]
    assert ends("capture_payment action slow always 1500", deadline_s=1) == ["completed"]


def test_enacted_when_a_fault_is_not_reached_then_it_need_not_be() -> None:
    prediction = foretold("authorize_payment action refuse 1", "confirm_order action error 1")

    assert prediction.enacted == (0,)


def test_parallel_steps_when_one_is_refused_then_all_of_their_place_are_undone() -> None:
    def step(name: str, kind: StepKind, undo: str | None) -> StepDefinitionView:
        return StepDefinitionView(
            name=name, kind=kind, service="any", action=f"do_{name}", refusals=("NO",), undo=undo, undo_refusals=("NO",)
        )

    group = (step("left", StepKind.COMPENSATABLE, "undo_left"), step("right", StepKind.COMPENSATABLE, "undo_right"))
    pivot = (step("pivot", StepKind.PIVOT, "fence"),)
    definition = DefinitionView(name="Two", places=(group, pivot), diagram="")

    refused = foretold("left action refuse 1", "right compensation refuse 1", definition=definition)

    assert [str(end) for end in refused.ends] == ["compensated, refused"]
    assert {str(half) for half in refused.stuck} == {"right.compensation"}
