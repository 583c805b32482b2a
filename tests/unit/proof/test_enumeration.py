"""That the enumeration leaves nothing out, names every case once, and asks for nothing that cannot be."""

from collections import Counter
from itertools import product

import pytest

from api.fault_plans import check_faults
from contracts.faults import FaultKind, Phase
from contracts.sagas import StepKind
from proof.cases import Case, Group, Path
from proof.enumeration import enumerate_cases
from proof.exploring import Selection
from proof.prediction import predict
from workflows.order_saga import ORDER_SAGA_DEFINITION

VIEW = ORDER_SAGA_DEFINITION.view()
CASES = list(enumerate_cases("order", VIEW))


def test_names_when_enumerated_then_unique_and_the_same_again() -> None:
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names)
    assert names == [case.name for case in enumerate_cases("order", VIEW)]


def test_single_faults_when_enumerated_then_every_step_phase_kind_and_times_on_both_paths() -> None:
    halves = [
        (step.name, phase)
        for step in ORDER_SAGA_DEFINITION.steps
        for phase in Phase
        if phase is Phase.ACTION or step.undo
    ]
    expected = {
        (path, *half, kind, times)
        for path, half, kind, times in product(Path, halves, FaultKind, (1, "always"))
        if kind is not FaultKind.CRASH_WORKER
        # The fence declares no refusal.
        and (kind is not FaultKind.REFUSE or half != ("capture_payment", Phase.COMPENSATION))
    }

    found = {
        (case.path, fault.step, fault.phase, fault.kind, fault.times)
        for case in CASES
        if case.group is Group.SINGLE
        for fault in case.faults[-1:]
    }

    assert found == expected


def test_crashes_when_enumerated_then_before_and_after_every_effect_on_both_paths() -> None:
    crashes = [case for case in CASES if case.group is Group.CRASH]

    assert len(crashes) == 2 * 2 * (6 + 4)
    assert all(case.kills_workers for case in crashes)


def test_cases_when_enumerated_then_the_api_takes_their_faults() -> None:
    for case in CASES:
        check_faults(case.faults, case.policy, ORDER_SAGA_DEFINITION, enabled=True)


def test_cases_when_foretold_then_every_status_and_cause_is_among_them() -> None:
    ends = Counter(str(end) for case in CASES for end in predict(VIEW, case).ends)

    assert set(ends) == {
        "completed",
        "compensated, refused",
        "compensated, failed",
        "compensated, cancelled",
        "compensated, deadline",
        "forced",
        "forced, refused",
    }


def test_undoing_when_a_single_fault_is_there_then_something_turned_the_saga_before() -> None:
    for case in CASES:
        last = case.faults[-1] if case.faults else None
        if last and last.phase is Phase.COMPENSATION:
            assert len(case.faults) > 1, case.name
            assert len(case.faults) - 1 in predict(VIEW, case).enacted, case.name


def test_steps_when_a_definition_has_only_compensatable_ones_then_there_are_cases_all_the_same() -> None:
    places = tuple(place for place in VIEW.places if place[0].kind is StepKind.COMPENSATABLE)
    view = VIEW.model_copy(update={"places": places})

    cases = list(enumerate_cases("short", view))

    assert {case.group for case in cases} >= {Group.SINGLE, Group.PAIR, Group.CANCEL, Group.DEADLINE}
    assert all(predict(view, case).ends for case in cases)


class TestSelection:
    def names(self, **chosen: object) -> list[str]:
        return [case.name for case in Selection(**chosen).of(CASES)]  # type: ignore[arg-type]

    def test_selection_when_nothing_is_said_then_all_and_killers_last(self) -> None:
        cases = Selection().of(CASES)

        assert Counter(case.name for case in cases) == Counter(case.name for case in CASES)
        kills = [case.kills_workers for case in cases]
        assert kills == sorted(kills)

    def test_selection_when_named_then_only_those(self) -> None:
        name = "order/fast/book_shipment.action.lost_reply.once"

        assert self.names(only=(name,)) == [name]
        assert self.names(only=("order/*/healthy",), groups=(Group.SINGLE,)) == []

    def test_sample_when_the_seed_is_the_same_then_the_same_cases(self) -> None:
        assert self.names(sample=10, seed=1) == self.names(sample=10, seed=1)
        assert self.names(sample=10, seed=1) != self.names(sample=10, seed=2)
        assert len(self.names(sample=10)) == 10


@pytest.mark.parametrize("case", CASES[:50], ids=lambda case: case.name)
def test_name_when_given_as_a_pattern_then_it_selects_its_case_alone(case: Case) -> None:
    assert Selection(only=(case.name,)).of(CASES) == [case]
