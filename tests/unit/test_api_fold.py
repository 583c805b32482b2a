"""The view of a saga, folded from recorded histories and from histories built by hand."""

from datetime import UTC, datetime

import pytest

from api.view.facts import Pending, UnreadableHistory
from api.view.fold import fold
from api.view.temporal_events import read_facts
from contracts.faults import Phase
from contracts.sagas import CancelState, Cause, Residue, SagaStatus, SagaView, StepState
from tests.support.events import Events, failure
from tests.support.histories import LINKS, NAMES, recorded
from workflows.order_saga import ORDER_SAGA_DEFINITION

P, S, W, OK = StepState.PENDING, StepState.STARTED, StepState.WAITING, StepState.SUCCEEDED
UNDONE, NOTHING, REFUSED, STUCK = StepState.COMPENSATED, StepState.NOTHING_TO_UNDO, StepState.REFUSED, StepState.STUCK
SKIPPED, FAILED, COMPENSATING = StepState.SKIPPED, StepState.FAILED, StepState.COMPENSATING

COMPLETED = (SagaStatus.COMPLETED, None, None, [OK] * 6)
FOLDED = {
    "completed": COMPLETED,
    "durable": COMPLETED,
    "reset_after_completion": COMPLETED,
    "turned_forward": (SagaStatus.COMPLETED, None, CancelState.TOO_LATE, [OK] * 6),
    "cancelled_too_late": (SagaStatus.COMPLETED, None, CancelState.TOO_LATE, [OK] * 6),
    "declined": (SagaStatus.COMPENSATED, Cause.REFUSED, None, [UNDONE, REFUSED, P, P, P, P]),
    "refused_at_the_pivot": (SagaStatus.COMPENSATED, Cause.REFUSED, None, [UNDONE, UNDONE, UNDONE, REFUSED, P, P]),
    "failed": (SagaStatus.COMPENSATED, Cause.FAILED, None, [UNDONE, UNDONE, NOTHING, NOTHING, P, P]),
    "deadline": (SagaStatus.COMPENSATED, Cause.DEADLINE, None, [UNDONE, UNDONE, NOTHING, NOTHING, P, P]),
    "cancelled": (
        SagaStatus.COMPENSATED,
        Cause.CANCELLED,
        CancelState.EFFECTIVE,
        [UNDONE, UNDONE, NOTHING, NOTHING, P, P],
    ),
    "waiting_for_event": (SagaStatus.RUNNING, None, None, [OK, OK, W, P, P, P]),
    "completed_by_event": COMPLETED,
    "refused_by_event": (SagaStatus.COMPENSATED, Cause.REFUSED, None, [UNDONE, UNDONE, REFUSED, P, P, P]),
    "asked_in_vain": (SagaStatus.COMPENSATED, Cause.DEADLINE, None, [UNDONE, UNDONE, UNDONE, NOTHING, P, P]),
    "waiting": (SagaStatus.RUNNING, None, None, [OK, OK, W, P, P, P]),
    "cancel_requested": (SagaStatus.RUNNING, None, CancelState.REQUESTED, [OK, OK, S, P, P, P]),
    "stuck_compensation": (SagaStatus.STUCK, Cause.FAILED, None, [UNDONE, STUCK, NOTHING, NOTHING, P, P]),
    "refused_compensation": (SagaStatus.STUCK, Cause.FAILED, None, [UNDONE, STUCK, NOTHING, NOTHING, P, P]),
    "retried_by_decision": (SagaStatus.COMPENSATED, Cause.FAILED, None, [UNDONE, UNDONE, NOTHING, NOTHING, P, P]),
    "forced": (SagaStatus.FORCED, Cause.FAILED, None, [UNDONE, SKIPPED, NOTHING, NOTHING, P, P]),
    "pivot_given_up": (SagaStatus.COMPENSATED, Cause.FAILED, None, [UNDONE, UNDONE, UNDONE, NOTHING, P, P]),
    "stuck_at_the_end": (SagaStatus.STUCK, None, None, [OK, OK, OK, OK, OK, STUCK]),
    "terminated": (SagaStatus.TERMINATED, None, None, [OK, OK, S, P, P, P]),
    "returned": (SagaStatus.COMPLETED, None, None, [OK] * 5),
    "return_refused": (SagaStatus.COMPENSATED, Cause.REFUSED, None, [UNDONE, UNDONE, REFUSED, P, P]),
    "return_cancelled": (
        SagaStatus.COMPENSATED,
        Cause.CANCELLED,
        CancelState.EFFECTIVE,
        [UNDONE, NOTHING, NOTHING, P, P],
    ),
    "return_forced": (SagaStatus.FORCED, None, None, [OK, OK, OK, SKIPPED, OK]),
}


@pytest.mark.parametrize("name", NAMES)
def test_recorded_history_when_folded_then_what_happened(name: str) -> None:
    view = recorded(name).view()

    assert (view.status, view.cause, view.cancel, [step.state for step in view.steps]) == FOLDED[name]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_history_when_cut_anywhere_then_still_a_view(name: str) -> None:
    history = recorded(name)

    for length in range(1, len(history.history.events) + 1):
        assert history.view_after(length).saga_id == history.workflow_id


class TestRecorded:
    def test_failure_when_it_turned_the_saga_then_shown(self) -> None:
        failure_shown = recorded("declined").view().failure

        assert failure_shown is not None
        assert (failure_shown.step, failure_shown.code) == ("authorize_payment", "CARD_DECLINED")
        assert failure_shown.message == "scripted CARD_DECLINED"

    def test_failure_when_a_compensation_is_stuck_then_that_one(self) -> None:
        view = recorded("refused_compensation").view()

        assert view.failure is not None
        assert (view.failure.step, view.failure.code) == ("authorize_payment", "PAYMENT_ALREADY_CAPTURED")

    def test_residue_when_forced_then_listed(self) -> None:
        assert recorded("forced").view().residue == (Residue(step="authorize_payment", phase=Phase.COMPENSATION),)

    def test_attempts_when_on_both_paths_then_added_up(self) -> None:
        place_order = recorded("durable").view().steps[0]

        assert (place_order.attempts, place_order.path) == (3, "durable")

    def test_attempts_when_pending_then_counted_with_the_next_one(self) -> None:
        step = recorded("waiting").view().steps[2]

        assert (step.attempts, step.path, step.last_failure) == (2, "durable", "scripted NO_REPLY")
        assert step.next_attempt_at is not None

    def test_attempts_when_of_a_compensation_then_counted_apart(self) -> None:
        step = recorded("stuck_compensation").view().steps[1]

        assert step.attempts == 1
        assert step.compensation_attempts >= 4

    def test_times_when_ended_then_both(self) -> None:
        view = recorded("completed").view()

        assert view.ended_at is not None
        assert view.started_at <= view.ended_at


class TestBuilt:
    def test_start_when_nothing_else_then_pending(self) -> None:
        view = view_of(Events())

        assert (view.status, {step.state for step in view.steps}) == (SagaStatus.RUNNING, {P})
        assert (view.total_minor, view.currency) == (2500, "EUR")

    def test_workflow_task_when_failed_then_suspended(self) -> None:
        built = Events()
        built.add("WORKFLOW_TASK_FAILED", cause="WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE")

        assert view_of(built).suspended == "a workflow task failed"

    def test_workflow_task_when_failed_and_then_done_then_not_suspended(self) -> None:
        built = Events()
        failed = {"message": "division by zero"}
        built.add("WORKFLOW_TASK_FAILED", cause="WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR", failure=failed)
        assert view_of(built).suspended == "division by zero"

        built.add("WORKFLOW_TASK_COMPLETED")

        assert view_of(built).suspended is None

    @pytest.mark.parametrize("cause", ["UNHANDLED_COMMAND", "RESET_WORKFLOW", "RESET_STICKY_TASK_QUEUE"])
    def test_workflow_task_when_void_for_the_servers_reasons_then_not_suspended(self, cause: str) -> None:
        built = Events()
        built.add("WORKFLOW_TASK_FAILED", cause=f"WORKFLOW_TASK_FAILED_CAUSE_{cause}")

        assert view_of(built).suspended is None

    def test_workflow_task_when_reported_failing_then_suspended_while_it_runs(self) -> None:
        built = Events()
        facts = read_facts(built.events, ORDER_SAGA_DEFINITION)

        assert fold(facts, ORDER_SAGA_DEFINITION, LINKS, reported_problem="keeps failing").suspended == "keeps failing"

    @pytest.mark.parametrize("event", ["WORKFLOW_EXECUTION_TIMED_OUT", "WORKFLOW_EXECUTION_TERMINATED"])
    def test_workflow_when_ended_from_outside_then_terminated(self, event: str) -> None:
        built = Events().fast("place_order")
        built.add(event)

        assert view_of(built).status is SagaStatus.TERMINATED

    def test_workflow_when_failed_for_unknown_reasons_then_terminated(self) -> None:
        built = Events()
        built.add("WORKFLOW_EXECUTION_FAILED", failure=failure("SOMETHING"))

        assert view_of(built).status is SagaStatus.TERMINATED

    def test_fast_attempt_when_it_timed_out_then_waiting(self) -> None:
        timed_out = {
            "message": "activity error",
            "activityFailureInfo": {},
            "cause": {"message": "timed out", "timeoutFailureInfo": {"timeoutType": "TIMEOUT_TYPE_START_TO_CLOSE"}},
        }

        step = view_of(Events().fast("place_order", failure=timed_out)).steps[0]

        assert (step.state, step.attempts) == (W, 1)
        assert step.last_failure == "no outcome in time; its effect is unknown"

    def test_refusal_when_not_declared_then_a_failure(self) -> None:
        step = view_of(Events().fast("place_order", failure=failure("CARD_DECLINED", refused=True))).steps[0]

        assert step.state is W

    def test_refusal_when_already_compensated_then_refused(self) -> None:
        step = view_of(Events().fast("place_order", failure=failure("ALREADY_COMPENSATED", refused=True))).steps[0]

        assert step.state is REFUSED

    def test_retriable_when_refused_then_stuck(self) -> None:
        built = Events().fast("confirm_order", failure=failure("ORDER_NOT_PENDING", refused=True))

        assert view_of(built).steps[4].state is STUCK

    def test_pivot_when_its_attempts_ran_out_then_stuck_and_then_done(self) -> None:
        built = Events()
        built.fail(built.schedule("capture_payment", attempts=3), "DOWN", attempt=3)
        assert view_of(built).steps[3].state is STUCK
        assert view_of(built).steps[3].attempts == 3

        again = built.schedule("capture_payment")
        assert view_of(built).steps[3].state is STUCK
        built.complete(again, attempt=2)

        assert view_of(built).steps[3].state is OK
        assert view_of(built).steps[3].attempts == 5

    def test_compensation_when_scheduled_then_compensating(self) -> None:
        built = Events().fast("place_order").show(SagaStatus.UNWINDING, SagaCause="failed")
        built.schedule("reject_order", attempts=4)

        assert view_of(built).steps[0].state is COMPENSATING

    def test_fence_when_on_its_way_then_compensating(self) -> None:
        built = Events().show(SagaStatus.UNWINDING, SagaCause="failed")
        built.schedule("abandon_capture", attempts=4)

        assert view_of(built).steps[3].state is COMPENSATING

    def test_cause_when_unset_then_none(self) -> None:
        built = Events().show(SagaStatus.UNWINDING, SagaCause="deadline", FailedStep="place_order", FailureCode="X")
        built.show(SagaStatus.RUNNING, SagaCause=None, FailedStep=None, FailureCode=None)

        view = view_of(built)

        assert (view.status, view.cause, view.failure) == (SagaStatus.RUNNING, None, None)

    def test_cancel_when_only_the_description_knows_then_requested(self) -> None:
        facts = read_facts(Events().events, ORDER_SAGA_DEFINITION)

        assert fold(facts, ORDER_SAGA_DEFINITION, LINKS, cancel_requested=True).cancel is CancelState.REQUESTED

    def test_cancel_when_the_pivot_has_happened_then_too_late(self) -> None:
        built = Events().fast("capture_payment")
        built.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED")

        assert view_of(built).cancel is CancelState.TOO_LATE

    def test_cancel_when_it_unwinds_for_another_cause_then_too_late_at_once(self) -> None:
        built = Events().show(SagaStatus.UNWINDING, SagaCause="refused", FailedStep="book_shipment", FailureCode="X")
        built.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED")

        assert view_of(built).cancel is CancelState.TOO_LATE

    def test_cancel_when_the_fence_is_open_then_too_late_and_stays_so(self) -> None:
        built = Events().show(SagaStatus.UNWINDING, SagaCause="failed")
        fence = built.schedule("abandon_capture", attempts=4)
        built.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        assert view_of(built).cancel is CancelState.TOO_LATE

        built.complete(fence, "already_done").show(SagaStatus.RUNNING, SagaCause=None)
        assert view_of(built).cancel is CancelState.TOO_LATE

    def test_cancel_when_it_unwinds_for_it_then_effective(self) -> None:
        built = Events()
        built.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        built.show(SagaStatus.UNWINDING, SagaCause="cancelled")

        assert view_of(built).cancel is CancelState.EFFECTIVE

    def test_failure_when_a_decision_interrupted_the_attempts_then_still_in_its_own_words(self) -> None:
        built = Events().fast("release_payment", failure=failure("INJECTED_FAULT"))
        scheduled = built.schedule("release_payment")
        built.show(SagaStatus.STUCK, SagaCause="failed", FailedStep="authorize_payment", FailureCode="INJECTED_FAULT")
        built.decide(step="authorize_payment", decision="retry")
        built.cancel_between_attempts(scheduled)

        told = view_of(built).failure

        assert told is not None
        assert (told.code, told.message) == ("INJECTED_FAULT", "scripted INJECTED_FAULT")

    def test_attempts_when_a_decision_stopped_them_between_two_then_kept(self) -> None:
        built = Events().fast("release_payment", failure=failure("DOWN"))
        scheduled = built.schedule("release_payment")
        assert view_of(built, Pending("release_payment", 9, True, "down", None)).steps[1].compensation_attempts == 9

        built.decide(step="authorize_payment", decision="retry", attempts_before=8)
        built.cancel_between_attempts(scheduled)
        assert view_of(built).steps[1].compensation_attempts == 9

        built.complete(built.schedule("release_payment"))
        assert view_of(built).steps[1].compensation_attempts == 10

    def test_attempts_when_a_decision_came_during_one_then_counted_once(self) -> None:
        built = Events()
        scheduled = built.schedule("release_payment")

        built.decide(step="authorize_payment", decision="retry", attempts_before=3)
        built.fail(scheduled, "DOWN", attempt=4)

        assert view_of(built).steps[1].compensation_attempts == 4

    def test_attempts_when_a_cancellation_stopped_them_between_two_then_kept(self) -> None:
        built = Events().fast("book_shipment", failure=failure("DOWN"))
        scheduled = built.schedule("book_shipment", attempts=4)
        cause = "asked through the API; attempts so far: book_shipment 2"

        built.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED", cause=cause)
        built.cancel_between_attempts(scheduled)

        assert view_of(built).steps[2].attempts == 3

    def test_pivot_when_refused_and_fenced_then_nothing_to_undo(self) -> None:
        built = Events().fast("capture_payment", failure=failure("ALREADY_COMPENSATED", refused=True))
        built.complete(built.schedule("abandon_capture"), "fenced")

        assert view_of(built).steps[3].state is NOTHING

    def test_pending_when_settled_in_the_history_then_not_counted_twice(self) -> None:
        built = Events()
        built.complete(built.schedule("place_order", attempts=4), attempt=2)

        view = view_of(built, Pending("place_order", 2, False, "old", None))

        assert (view.steps[0].state, view.steps[0].attempts, view.steps[0].last_failure) == (OK, 2, None)

    def test_pending_when_between_attempts_then_waiting_for_the_next(self) -> None:
        built = Events()
        built.schedule("place_order", attempts=4)
        then = datetime(2026, 1, 2, tzinfo=UTC)

        step = view_of(built, Pending("place_order", 3, True, "down", then)).steps[0]

        assert (step.state, step.attempts, step.next_attempt_at, step.last_failure) == (W, 2, then, "down")

    def test_events_when_unknown_then_passed_over(self) -> None:
        built = Events().fast("place_order").fast("from_a_newer_release")
        built.add("TIMER_STARTED")
        built.add("MARKER_RECORDED", markerName="core_patch")

        assert view_of(built).steps[0].state is OK

    def test_history_when_not_of_an_order_saga_then_unreadable(self) -> None:
        built = Events()
        built.events[0].workflow_execution_started_event_attributes.input.payloads[0].data = b"{}"

        with pytest.raises(UnreadableHistory):
            view_of(built)

    def test_history_when_empty_then_unreadable(self) -> None:
        with pytest.raises(UnreadableHistory):
            fold([], ORDER_SAGA_DEFINITION, LINKS)


def view_of(built: Events, *pending: Pending) -> SagaView:
    return fold(read_facts(built.events, ORDER_SAGA_DEFINITION), ORDER_SAGA_DEFINITION, LINKS, pending=pending)
