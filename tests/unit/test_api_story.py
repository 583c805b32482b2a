"""The story of a saga: one entry per thing that happened, in English."""

import pytest

from api.view.story import tell
from api.view.temporal_events import read_facts
from contracts.sagas import SagaStatus
from tests.support.events import Events
from tests.support.histories import NAMES, recorded
from workflows.order_saga import ORDER_SAGA_DEFINITION


@pytest.mark.parametrize("name", NAMES)
def test_entries_when_told_then_in_order_and_whole_sentences(name: str) -> None:
    story = recorded(name).story()

    ids = [entry.event_id for entry in story]
    assert ids == sorted(set(ids))
    assert all(entry.what.endswith(".") for entry in story)
    assert story[0].what == "The saga of an order over 25.00 EUR started."


def told(name: str) -> list[str]:
    return [entry.what for entry in recorded(name).story()]


def test_healthy_saga_when_told_then_one_entry_a_step() -> None:
    steps = ["place_order", "authorize_payment", "book_shipment", "capture_payment", "confirm_order"]

    assert told("completed") == [
        "The saga of an order over 25.00 EUR started.",
        *(f"{step} was done." for step in [*steps, "dispatch_shipment"]),
        "The saga completed.",
    ]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("declined", "authorize_payment was refused: CARD_DECLINED."),
        ("declined", "The saga began to unwind, because a step was refused at authorize_payment."),
        ("deadline", "The saga began to unwind, because the deadline passed at book_shipment."),
        ("cancelled", "The saga began to unwind, because the order was cancelled."),
        (
            "cancelled",
            "cancel_shipment (undoing book_shipment) found nothing to undo, and made sure that nothing will come.",
        ),
        ("failed", "book_shipment failed in 4 more attempts: NO_REPLY."),
        ("failed", "abandon_capture (the fence) is in place: the pivot has not happened and never will."),
        ("turned_forward", "The pivot had already happened, so the saga turned forward again."),
        ("stuck_compensation", "The saga is stuck at authorize_payment, and waits for an operator's decision."),
        ("forced", "An operator decided on authorize_payment: skip."),
        ("pivot_given_up", "An operator decided on capture_payment: give up."),
        ("retried_by_decision", "No step is stuck any more; the saga goes on unwinding."),
        ("terminated", "The saga was ended from outside, without compensation."),
        ("reset_after_completion", "The saga was reset to this point, and runs again from here."),
    ],
)
def test_event_when_told_then_readable(name: str, sentence: str) -> None:
    assert sentence in told(name)


@pytest.mark.parametrize(
    ("event", "attributes", "sentence"),
    [
        (
            "WORKFLOW_TASK_FAILED",
            {"cause": "WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE"},
            "Workflow code failed. The saga is suspended until it is fixed; nothing is compensated for that.",
        ),
        ("WORKFLOW_TASK_TIMED_OUT", {}, "A worker died or froze in the middle of this saga; it is taken up again."),
        ("WORKFLOW_EXECUTION_CANCEL_REQUESTED", {}, "A cancellation was asked for."),
    ],
)
def test_rare_event_when_told_then_readable(event: str, attributes: dict[str, str], sentence: str) -> None:
    built = Events()
    built.add(event, **attributes)

    assert [entry.what for entry in tell(read_facts(built.events, ORDER_SAGA_DEFINITION), ORDER_SAGA_DEFINITION)][
        -1
    ] == sentence


def test_second_stuck_step_when_told_then_it_is_told_too() -> None:
    built = Events()
    built.show(SagaStatus.UNWINDING, SagaCause="failed", FailedStep="capture_payment", FailureCode="NO_REPLY")
    built.show(SagaStatus.STUCK, FailedStep="book_shipment")
    built.show(FailedStep="place_order")
    built.show(FailureCode="TIMEOUT")

    entries = list(tell(read_facts(built.events, ORDER_SAGA_DEFINITION), ORDER_SAGA_DEFINITION))

    assert [(entry.outcome, entry.step) for entry in entries[2:]] == [
        ("stuck", "book_shipment"),
        ("stuck", "place_order"),
    ]
