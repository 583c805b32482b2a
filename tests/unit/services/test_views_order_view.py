import pytest
from pydantic import ValidationError

from contracts import events as public
from contracts.events import PublicEvent
from contracts.sagas import Cause
from contracts.views import OrderStatus, OrderView, ShipmentStatus
from services.views.causality import causal_order
from services.views.errors import UnbookableEvent
from services.views.order_view import OrderState, fold, transition_of, view_of
from tests.support.event_logs import AMOUNT, Logs


def about(logs: Logs, order_id: str) -> list[PublicEvent]:
    return [event for event in logs.all if event.subject == order_id]


def viewed(logs: Logs, order_id: str) -> OrderView:
    view = view_of(order_id, fold(about(logs, order_id)), ())
    assert view is not None
    return view


class TestView:
    def test_view_when_only_placed_then_it_is_pending(self) -> None:
        logs = Logs()
        order_id = logs.place(customer="cust-7")

        view = viewed(logs, order_id)

        assert (view.status, view.cause, view.shipment) == (OrderStatus.PENDING, None, ShipmentStatus.NONE)
        assert (view.customer_id, view.saga_id, view.total_minor) == ("cust-7", f"order-{order_id}", AMOUNT)
        assert view.placed_at == logs.now

    def test_view_when_fulfilled_then_it_is_confirmed_captured_and_dispatched(self) -> None:
        logs = Logs()

        view = viewed(logs, logs.fulfil("BOOK-1"))

        assert (view.status, view.shipment) == (OrderStatus.CONFIRMED, ShipmentStatus.DISPATCHED)
        assert (view.authorized_minor, view.captured_minor, view.voided_minor) == (AMOUNT, AMOUNT, 0)

    def test_view_when_compensated_then_it_is_rejected_with_its_cause_and_voided(self) -> None:
        logs = Logs()

        view = viewed(logs, logs.compensate("BOOK-1", cause=Cause.DEADLINE))

        assert (view.status, view.cause, view.shipment) == (
            OrderStatus.REJECTED,
            Cause.DEADLINE,
            ShipmentStatus.CANCELLED,
        )
        assert (view.authorized_minor, view.captured_minor, view.voided_minor) == (AMOUNT, 0, AMOUNT)

    def test_view_when_a_shipment_is_only_requested_then_there_is_none(self) -> None:
        logs = Logs()
        order_id = logs.place()
        logs.request(order_id, "BOOK-1")

        assert viewed(logs, order_id).shipment is ShipmentStatus.NONE

    def test_view_when_the_carrier_declined_then_there_is_no_shipment(self) -> None:
        logs = Logs()
        order_id = logs.place()
        logs.request(order_id, "BOOK-1")
        logs.refuse(order_id, "BOOK-1")

        assert viewed(logs, order_id).shipment is ShipmentStatus.NONE
        assert transition_of("shipping", "ShipmentBookingRefused", logs.now) is not None

    def test_view_when_the_hold_expired_then_it_says_so(self) -> None:
        logs = Logs()
        order_id = logs.place()
        logs.authorize(order_id)
        logs.settle(order_id, public.PaymentExpired)

        view = viewed(logs, order_id)

        assert (view.authorized_minor, view.expired_minor) == (AMOUNT, AMOUNT)

    def test_view_when_not_known_to_be_placed_then_there_is_none(self) -> None:
        logs = Logs()
        order_id = logs.place()
        logs.authorize(order_id)

        state = fold(event for event in about(logs, order_id) if event.service == "payment")

        assert view_of(order_id, state, ()) is None
        assert state.holds


class TestReturned:
    def setup_method(self) -> None:
        self.logs = Logs()
        self.order_id = self.logs.fulfil("BOOK-1")

    def test_view_when_a_return_is_under_way_then_it_is_confirmed_and_recalled(self) -> None:
        self.logs.open_return(self.order_id)

        view = viewed(self.logs, self.order_id)

        assert (view.status, view.shipment, view.refunded_minor) == (OrderStatus.CONFIRMED, ShipmentStatus.RECALLED, 0)

    def test_view_when_a_return_was_withdrawn_then_it_is_as_before(self) -> None:
        before = viewed(self.logs, self.order_id)
        self.logs.open_return(self.order_id)
        self.logs.withdraw_return(self.order_id)

        assert viewed(self.logs, self.order_id) == before

    def test_view_when_returned_then_all_that_was_captured_is_refunded(self) -> None:
        self.logs.open_return(self.order_id)
        self.logs.refund(self.order_id)
        self.logs.take_back(self.order_id, "BOOK-1")

        view = viewed(self.logs, self.order_id)

        assert (view.status, view.shipment) == (OrderStatus.RETURNED, ShipmentStatus.RETURNED)
        assert (view.captured_minor, view.refunded_minor) == (AMOUNT, AMOUNT)
        found = [transition_of(e.service, e.type, e.time) for e in causal_order(about(self.logs, self.order_id))]
        assert [transition.event for transition in found if transition][-5:] == [
            "ReturnOpened",
            "ShipmentRecalled",
            "PaymentRefunded",
            "ShipmentReturned",
            "OrderReturned",
        ]

    def test_fold_when_refunded_twice_then_it_raises(self) -> None:
        self.logs.refund(self.order_id)
        self.logs.refund(self.order_id)

        with pytest.raises(UnbookableEvent):
            fold(self.logs.all)

    def test_fold_when_what_was_never_captured_is_refunded_then_it_raises(self) -> None:
        order_id = self.logs.place()
        self.logs.authorize(order_id)
        self.logs.refund(order_id)

        with pytest.raises(UnbookableEvent):
            fold(self.logs.all)


class TestFold:
    def test_fold_when_an_event_type_is_unknown_then_nothing_changes(self) -> None:
        logs = Logs()
        order_id = logs.place()
        (placed,) = about(logs, order_id)
        unknown = placed.model_copy(update={"type": "OrderGiftWrapped", "position": 2, "streamversion": 2})

        assert fold([placed, unknown]) == fold([placed])

    def test_fold_when_another_service_uses_the_name_of_an_event_then_nothing_changes(self) -> None:
        logs = Logs()
        logs.place()
        foreign = logs.all[0].model_copy(update={"source": "/services/payment"})

        assert fold([foreign]) == OrderState()

    def test_fold_when_an_event_is_not_readable_then_it_raises(self) -> None:
        logs = Logs()
        logs.place()
        unreadable = logs.all[0].model_copy(update={"data": {"total_minor": "a lot"}})

        with pytest.raises(ValidationError):
            fold([unreadable])

    def test_fold_when_a_placed_order_has_no_saga_then_it_raises(self) -> None:
        logs = Logs()
        logs.place()

        with pytest.raises(UnbookableEvent):
            fold([logs.all[0].model_copy(update={"sagaid": None})])

    def test_fold_when_an_unknown_authorization_is_captured_then_it_raises(self) -> None:
        logs = Logs()
        logs.settle(logs.place(), public.PaymentCaptured)

        with pytest.raises(UnbookableEvent):
            fold(logs.all)

    def test_fold_when_a_hold_is_settled_twice_then_it_raises(self) -> None:
        logs = Logs()
        order_id = logs.place()
        logs.authorize(order_id)
        logs.settle(order_id, public.PaymentVoided)
        logs.settle(order_id, public.PaymentCaptured)

        with pytest.raises(UnbookableEvent):
            fold(logs.all)

    def test_fold_when_an_authorization_comes_twice_then_it_raises(self) -> None:
        logs = Logs()
        order_id = logs.place()
        logs.authorize(order_id)
        logs.authorize(order_id)

        with pytest.raises(UnbookableEvent):
            fold(logs.all)


def test_transitions_when_fulfilled_then_they_tell_the_life_without_the_shelf() -> None:
    logs = Logs()
    order_id = logs.fulfil("BOOK-1")

    found = [transition_of(e.service, e.type, e.time) for e in causal_order(about(logs, order_id))]

    assert [transition.event for transition in found if transition] == [
        "OrderPlaced",
        "PaymentAuthorized",
        "ShipmentBooked",
        "PaymentCaptured",
        "OrderConfirmed",
        "ShipmentDispatched",
    ]
