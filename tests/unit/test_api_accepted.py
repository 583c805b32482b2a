"""What the view and the story say of an action that was accepted, and whose outcome an event brings."""

import pytest

from api.view.fold import fold
from api.view.story import tell
from api.view.temporal_events import read_facts
from contracts.sagas import SagaStatus, StepState, StepView
from tests.support.events import Events
from tests.support.histories import LINKS
from workflows.order_saga import ORDER_SAGA_DEFINITION

DONE = {"step": "book_shipment", "event": "ShipmentBooked"}
REFUSED = {
    "step": "book_shipment",
    "event": "ShipmentBookingRefused",
    "refusal": "UNDELIVERABLE_ADDRESS",
    "message": "no carrier delivers to AQ",
}


def accepted() -> Events:
    return Events().fast("book_shipment", outcome="accepted")


def booking(built: Events) -> StepView:
    return fold(read_facts(built.events, ORDER_SAGA_DEFINITION), ORDER_SAGA_DEFINITION, LINKS).steps[2]


def story(built: Events) -> list[str]:
    return [entry.what for entry in tell(read_facts(built.events, ORDER_SAGA_DEFINITION), ORDER_SAGA_DEFINITION)][1:]


def test_action_when_accepted_then_waiting() -> None:
    built = accepted()

    assert (booking(built).state, booking(built).attempts) == (StepState.WAITING, 1)
    assert story(built) == ["book_shipment was accepted; an event will tell its outcome."]


@pytest.mark.parametrize(
    ("told", "state", "sentence"),
    [
        (DONE, StepState.SUCCEEDED, "ShipmentBooked came: book_shipment is done."),
        (
            REFUSED,
            StepState.REFUSED,
            "ShipmentBookingRefused came: book_shipment was refused: UNDELIVERABLE_ADDRESS.",
        ),
    ],
)
def test_event_when_it_comes_then_its_outcome(told: dict[str, str], state: StepState, sentence: str) -> None:
    built = accepted().signal(**told)

    assert booking(built).state is state
    assert story(built)[-1] == sentence


def test_event_when_recorded_before_the_acceptance_then_counts_all_the_same() -> None:
    built = Events().signal(**DONE).fast("book_shipment", outcome="accepted")

    assert booking(built).state is StepState.SUCCEEDED


def test_event_when_it_comes_twice_then_the_first_counts() -> None:
    assert booking(accepted().signal(**DONE).signal(**REFUSED)).state is StepState.SUCCEEDED


def test_event_when_the_saga_has_turned_then_changes_nothing() -> None:
    built = accepted().show(SagaStatus.UNWINDING, SagaCause="deadline").signal(**DONE)

    assert booking(built).state is StepState.STARTED
    assert story(built)[-1] == "ShipmentBooked came when nobody waited for it any more."


@pytest.mark.parametrize(
    "outcome", [{"step": "nothing_of_ours", "event": "X"}, {"step": "place_order", "event": "X"}, {}]
)
def test_signal_when_it_makes_no_sense_then_passed_over(outcome: dict[str, str]) -> None:
    built = accepted().signal(**outcome)

    assert booking(built).state is StepState.WAITING
    assert len(story(built)) == 1


def test_service_when_asked_then_still_waiting_until_it_tells() -> None:
    built = accepted()
    asked = built.schedule("book_shipment", attempts=1)
    assert booking(built).state is StepState.WAITING
    assert story(built)[-1] == "No event came; the service is asked what became of book_shipment."

    built.complete(asked, outcome="accepted")
    assert (booking(built).state, booking(built).attempts) == (StepState.WAITING, 2)
    assert story(built)[-1] == "book_shipment still is accepted; an event will tell its outcome."

    built.fail(built.schedule("book_shipment", attempts=1), "NO_REPLY")
    assert booking(built).state is StepState.WAITING

    built.complete(built.schedule("book_shipment", attempts=1))
    assert (booking(built).state, booking(built).attempts) == (StepState.SUCCEEDED, 4)


def test_service_when_asked_and_it_refuses_then_refused() -> None:
    built = accepted()
    built.fail(built.schedule("book_shipment", attempts=1), "UNDELIVERABLE_ADDRESS", refused=True)

    assert booking(built).state is StepState.REFUSED


def test_accepted_action_when_undone_then_compensated() -> None:
    built = accepted().show(SagaStatus.UNWINDING, SagaCause="deadline")
    built.complete(built.schedule("cancel_shipment"))

    assert booking(built).state is StepState.COMPENSATED
