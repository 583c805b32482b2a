"""The audit finds each thing that must never happen, and nothing where nothing did."""

from collections.abc import Callable

import pytest

from api.audit.judge import audit
from api.audit.service_events import UnreadableEvent
from api.audit.verdicts import Audit
from contracts.faults import Phase
from contracts.sagas import Residue, SagaStatus
from tests.support.forgery import LINES, TOTAL, Forgery, stock_sums

ONCE = "at most one effect per saga, step and phase"
NAMED = "every compensation names its action or is a tombstone"
TOMBSTONE = "no effect after its tombstone"
MONEY = "authorized money is captured, voided, expired or held"
STOCK = "stock adds up and is never negative"
CAPTURED = "the order's total is captured, exactly once"
BOOKED = "one shipment of exactly the ordered units is booked"
DISPATCHED = "the shipment is dispatched, exactly once"
LEFT = "exactly the ordered units left the stock"
CONFIRMED = "the order is confirmed, exactly once"
NEVER_REJECTED = "the order was never rejected"
NEVER_CONFIRMED = "the order was never confirmed"
NOT_CAPTURED = "nothing is captured"
NOT_HELD = "no authorization is live"
NOT_SHIPPED = "no shipment is live"
RETURNED = "the stock is as before"
REJECTED = "the order is rejected or was never placed"
RESIDUE = "nothing is left beyond the residue listed"
GATEWAY = "the gateway's books agree with ours"


def broken(judged: Audit) -> set[str]:
    return {verdict.invariant for verdict in judged.verdicts if not verdict.holds}


class TestClean:
    def test_completed_when_all_is_done_then_clean(self) -> None:
        judged = audit(Forgery().complete().evidence(SagaStatus.COMPLETED))

        assert judged.clean
        assert all(verdict.evidence for verdict in judged.verdicts)

    def test_compensated_when_all_is_undone_then_clean(self) -> None:
        assert audit(Forgery().compensate().evidence(SagaStatus.COMPENSATED)).clean

    def test_compensated_when_nothing_ever_happened_then_clean(self) -> None:
        forged = Forgery()
        forged.bar(forged.payment, "capture_payment", "AbandonCapture", "fenced", "fence")
        forged.bar(forged.shipping, "book_shipment", "CancelShipment", "nothing_to_undo")

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    def test_compensated_when_the_authorization_had_expired_then_nothing_to_undo_is_right(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.expire, forged.cancel_shipment):
            act()
        forged.bar(forged.payment, "authorize_payment", "ReleasePayment", "nothing_to_undo")
        forged.reject()

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    def test_compensated_when_the_undo_wrote_down_a_lost_authorization_then_clean(self) -> None:
        forged = Forgery()
        forged.place()
        key = forged.key("authorize_payment")
        forged.event(
            forged.payment,
            "PaymentAuthorized",
            "authorize_payment",
            "ReleasePayment",
            authorization=key,
            amount_minor=TOTAL,
            currency="EUR",
        )
        forged.gateway_holds[key] = "held", TOTAL
        forged.void()
        forged.reject()

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    @pytest.mark.parametrize("status", [SagaStatus.RUNNING, SagaStatus.UNWINDING, SagaStatus.STUCK])
    def test_saga_when_on_its_way_then_only_what_always_holds_is_judged(self, status: SagaStatus) -> None:
        forged = Forgery()
        forged.place()
        forged.authorize()

        judged = audit(forged.evidence(status))

        assert judged.clean
        assert {verdict.invariant for verdict in judged.verdicts} == {ONCE, NAMED, TOMBSTONE, MONEY, STOCK}


def _capture_twice(forged: Forgery) -> None:
    forged.capture()
    # The gateway knows better: it captured once.
    forged.gateway_captured = TOTAL


def _confirm_never(forged: Forgery) -> None:
    forged.order.events.pop()


def _reject_after_all(forged: Forgery) -> None:
    forged.reject()


def _dispatch_twice(forged: Forgery) -> None:
    forged.dispatch()


def _dispatch_never(forged: Forgery) -> None:
    forged.shipping.events.pop()


def _dispatch_too_few(forged: Forgery) -> None:
    log = forged.stock["BOOK-1"]
    log.events[-1] = log.events[-1].model_copy(update={"data": {"order_id": forged.order_id, "quantity": 1}})


def _stock_never_left(forged: Forgery) -> None:
    for log in forged.stock.values():
        log.events.pop()


def _ship_something_else(forged: Forgery) -> None:
    event = forged.shipping.events[0]
    forged.shipping.events[0] = event.model_copy(update={"data": {"units": [{"sku": "BOOK-1", "quantity": 1}]}})


def _gateway_captured_more(forged: Forgery) -> None:
    forged.gateway_captured += 1


def _gateway_never_heard(forged: Forgery) -> None:
    forged.gateway_holds.clear()


def _overstate_stock(forged: Forgery) -> None:
    forged.restated["PEN-1"] = {**stock_sums(forged.stock["PEN-1"]), "on_hand": 10}


def _overstate_booked(forged: Forgery) -> None:
    forged.restated["PEN-1"] = {**stock_sums(forged.stock["PEN-1"]), "booked": 1}


def _state_no_stock(forged: Forgery) -> None:
    forged.restated["PEN-1"] = None


def _state_no_money(forged: Forgery) -> None:
    forged.restated["payment"] = None


def _still_hold_what_is_captured(forged: Forgery) -> None:
    forged.restated["payment"] = {
        "authorized_minor": TOTAL,
        "held_minor": TOTAL,
        "captured_minor": TOTAL,
        "voided_minor": 0,
        "expired_minor": 0,
    }


def _authorize_once_more(forged: Forgery) -> None:
    forged.authorize(step="authorize_again")


def _reject_and_confirm_again(forged: Forgery) -> None:
    forged.reject()
    forged.event(forged.order, "OrderConfirmed", "confirm_again", "ConfirmOrder")


def _void_what_is_captured(forged: Forgery) -> None:
    forged.void()


def _void_what_was_never_held(forged: Forgery) -> None:
    forged.event(forged.payment, "PaymentVoided", "authorize_payment", "ReleasePayment", authorization="another")


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (_capture_twice, {ONCE, CAPTURED, MONEY, GATEWAY}),
        (_confirm_never, {CONFIRMED}),
        (_reject_after_all, {NEVER_REJECTED}),
        (_reject_and_confirm_again, {CONFIRMED, NEVER_REJECTED}),
        (_authorize_once_more, {NOT_HELD}),
        (_dispatch_twice, {ONCE, DISPATCHED, LEFT, STOCK}),
        (_dispatch_never, {DISPATCHED}),
        (_dispatch_too_few, {LEFT}),
        (_stock_never_left, {LEFT}),
        (_ship_something_else, {BOOKED}),
        (_gateway_captured_more, {GATEWAY}),
        (_gateway_never_heard, {GATEWAY}),
        (_overstate_stock, {STOCK}),
        (_overstate_booked, {STOCK}),
        (_state_no_stock, {STOCK}),
        (_state_no_money, {MONEY}),
        (_still_hold_what_is_captured, {MONEY}),
        (_void_what_is_captured, {MONEY}),
        (_void_what_was_never_held, {MONEY}),
    ],
)
def test_completed_when_forged_then_found(forge: Callable[[Forgery], None], found: set[str]) -> None:
    forged = Forgery().complete()
    forge(forged)

    judged = audit(forged.evidence(SagaStatus.COMPLETED))

    assert not judged.clean
    assert broken(judged) == found


def test_completed_when_the_amount_is_wrong_then_found() -> None:
    forged = Forgery()
    forged.place()
    forged.authorize(amount_minor=TOTAL - 1)
    for act in (forged.book, forged.capture, forged.confirm, forged.dispatch):
        act()

    assert broken(audit(forged.evidence(SagaStatus.COMPLETED))) == {CAPTURED}


def test_completed_when_the_currency_is_wrong_then_found() -> None:
    forged = Forgery()
    forged.place()
    forged.authorize(currency="USD")
    for act in (forged.book, forged.capture, forged.confirm, forged.dispatch):
        act()

    assert broken(audit(forged.evidence(SagaStatus.COMPLETED))) == {CAPTURED}


def test_completed_when_nothing_happened_then_found() -> None:
    assert {CAPTURED, BOOKED, DISPATCHED, CONFIRMED} <= broken(audit(Forgery().evidence(SagaStatus.COMPLETED)))


class TestCompensatedForged:
    def test_capture_when_there_is_one_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.capture, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NOT_CAPTURED}

    def test_hold_when_left_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NOT_HELD}

    def test_hold_when_only_the_gateway_knows_it_then_found(self) -> None:
        forged = Forgery().compensate()
        forged.gateway_holds["lost"] = "held", 5

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {GATEWAY}

    def test_shipment_when_left_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.book, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NOT_SHIPPED, RETURNED}

    def test_stock_when_not_all_came_back_then_found(self) -> None:
        forged = Forgery().compensate()
        forged.stock["PEN-1"].events.pop()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {RETURNED}

    def test_stock_when_too_much_came_back_then_found(self) -> None:
        forged = Forgery().compensate()
        forged.move("StockReturned", "book_shipment", "CancelShipment", LINES[:1])

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {RETURNED, ONCE, STOCK}

    @pytest.mark.parametrize("last", ["OrderPlaced", "OrderConfirmed"])
    def test_order_when_not_rejected_then_found(self, last: str) -> None:
        forged = Forgery()
        forged.place()
        if last == "OrderConfirmed":
            forged.confirm()

        found = {REJECTED, NEVER_CONFIRMED} if last == "OrderConfirmed" else {REJECTED}
        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == found

    def test_order_when_confirmed_and_then_rejected_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.confirm, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NEVER_CONFIRMED}

    def test_action_when_after_its_tombstone_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.bar(forged.payment, "authorize_payment", "ReleasePayment", "nothing_to_undo")
        forged.authorize()
        forged.reject()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NAMED, TOMBSTONE, NOT_HELD}

    def test_action_when_again_after_its_compensation_then_found(self) -> None:
        forged = Forgery()
        forged.bar(forged.payment, "authorize_payment", "ReleasePayment")
        forged.authorize()

        assert TOMBSTONE in broken(audit(forged.evidence(SagaStatus.UNWINDING)))

    def test_capture_when_after_its_fence_then_found(self) -> None:
        forged = Forgery()
        forged.authorize()
        forged.bar(forged.payment, "capture_payment", "AbandonCapture", "fenced", "fence")
        forged.capture()

        assert broken(audit(forged.evidence(SagaStatus.UNWINDING))) == {NAMED, TOMBSTONE}

    def test_compensation_when_it_says_done_without_its_action_then_found(self) -> None:
        forged = Forgery()
        forged.bar(forged.shipping, "book_shipment", "CancelShipment", "done")

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NAMED}

    def test_compensation_when_of_another_sagas_action_then_found(self) -> None:
        forged = Forgery().compensate()
        event = forged.shipping.events[0]
        forged.shipping.events[0] = event.model_copy(update={"key": "order-another:book_shipment"})

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NAMED}


class TestRequested:
    """A shipment whose carrier answers by event."""

    def test_completed_when_booked_after_it_was_requested_then_clean(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.request, forged.book_requested):
            act()
        for act in (forged.capture, forged.confirm, forged.dispatch):
            act()

        assert audit(forged.evidence(SagaStatus.COMPLETED)).clean

    def test_saga_when_the_carrier_has_not_answered_then_what_always_holds_does(self) -> None:
        forged = Forgery()
        forged.request()

        assert audit(forged.evidence(SagaStatus.RUNNING)).clean

    def test_compensated_when_withdrawn_then_clean(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.request, forged.withdraw, forged.void, forged.reject):
            act()

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    def test_compensated_when_cancelled_after_the_carrier_came_then_clean(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.book_requested, forged.cancel_shipment, forged.reject):
            act()

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    @pytest.mark.parametrize("is_swept", [True, False])
    def test_compensated_when_the_carrier_declined_then_clean(self, is_swept: bool) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.refuse_requested):
            act()
        if is_swept:
            forged.bar(forged.shipping, "book_shipment", "CancelShipment", "nothing_to_undo")
        forged.reject()

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    def test_completed_when_only_requested_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.request, forged.capture, forged.confirm, forged.dispatch):
            act()

        assert broken(audit(forged.evidence(SagaStatus.COMPLETED))) == {BOOKED}

    def test_compensated_when_the_request_is_left_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NOT_SHIPPED, RETURNED}

    def test_compensated_when_the_cancel_overlooked_the_request_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.request()
        forged.bar(forged.shipping, "book_shipment", "CancelShipment", "nothing_to_undo")
        forged.reject()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {NAMED, NOT_SHIPPED, RETURNED}

    def test_answer_when_it_came_after_the_withdrawal_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.withdraw, forged.book_requested, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {TOMBSTONE, NOT_SHIPPED}

    def test_refusal_when_it_came_after_the_withdrawal_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.withdraw, forged.refuse_requested, forged.reject):
            act()

        found = broken(audit(forged.evidence(SagaStatus.COMPENSATED)))
        assert found == {ONCE, TOMBSTONE, STOCK, NOT_SHIPPED, RETURNED}

    def test_answer_when_it_was_taken_twice_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.book_requested, forged.book_requested):
            act()

        assert broken(audit(forged.evidence(SagaStatus.RUNNING))) == {ONCE}

    def test_refusal_when_nothing_was_requested_then_found(self) -> None:
        forged = Forgery()
        forged.event(forged.shipping, "ShipmentBookingRefused", "book_shipment", "BookShipment", code="X", message="")

        assert broken(audit(forged.evidence(SagaStatus.RUNNING))) == {NAMED}

    def test_stock_when_a_declined_request_kept_it_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.refuse_requested, forged.reject):
            act()
        forged.stock["PEN-1"].events.pop()

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {RETURNED}

    def test_residue_when_the_request_is_left_as_listed_then_clean(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.request, forged.reject):
            act()

        assert audit(forged.evidence(SagaStatus.FORCED, TestForced.SHIPMENT_LEFT)).clean


class TestStock:
    def test_stock_when_sold_twice_then_found(self) -> None:
        forged = Forgery()
        forged.move("StockBooked", "book_shipment", "BookShipment", [{"sku": "PEN-1", "quantity": 11}])

        assert broken(audit(forged.evidence(SagaStatus.RUNNING))) == {STOCK}

    def test_stock_when_others_take_some_then_theirs(self) -> None:
        forged = Forgery().compensate()
        log = forged.stock["BOOK-1"]
        forged.event(log, "StockBooked", "book_shipment", "BookShipment", order_id="another", quantity=3)

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean


class TestForced:
    SHIPMENT_LEFT = Residue(step="book_shipment", phase=Phase.COMPENSATION)
    MONEY_HELD = Residue(step="authorize_payment", phase=Phase.COMPENSATION)
    ORDER_PENDING = Residue(step="place_order", phase=Phase.COMPENSATION)
    NOT_CONFIRMED = Residue(step="confirm_order", phase=Phase.ACTION)
    NOT_DISPATCHED = Residue(step="dispatch_shipment", phase=Phase.ACTION)

    def test_residue_when_as_listed_then_clean(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.book, forged.reject):
            act()

        assert audit(forged.evidence(SagaStatus.FORCED, self.SHIPMENT_LEFT)).clean

    def test_residue_when_less_than_listed_then_clean_and_said(self) -> None:
        judged = audit(Forgery().compensate().evidence(SagaStatus.FORCED, self.SHIPMENT_LEFT))

        assert judged.clean
        told = next(verdict.evidence for verdict in judged.verdicts if verdict.invariant == RESIDUE)
        assert told == ("book_shipment (compensation) is listed, and is not left",)

    def test_residue_when_more_than_listed_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.SHIPMENT_LEFT))) == {RESIDUE, NOT_HELD}

    def test_retriable_when_left_out_as_listed_then_clean(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.capture, forged.confirm):
            act()

        assert audit(forged.evidence(SagaStatus.FORCED, self.NOT_DISPATCHED)).clean

    def test_retriable_when_another_is_missing_too_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.capture):
            act()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.NOT_DISPATCHED))) == {RESIDUE, CONFIRMED}

    def test_skipped_when_it_explains_what_does_not_hold_then_said(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.capture, forged.dispatch):
            act()

        judged = audit(forged.evidence(SagaStatus.FORCED, self.NOT_CONFIRMED))

        assert judged.clean
        assert f"{CONFIRMED}, but for confirm_order (action)" in {verdict.invariant for verdict in judged.verdicts}

    def test_capture_when_only_half_and_the_confirmation_skipped_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.authorize(TOTAL // 2)
        for act in (forged.book, forged.capture, forged.dispatch):
            act()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.NOT_CONFIRMED))) == {CAPTURED}

    def test_order_when_rejected_and_the_confirmation_skipped_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.capture, forged.dispatch, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.NOT_CONFIRMED))) == {NEVER_REJECTED}

    def test_stock_when_some_left_and_the_dispatch_skipped_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.capture, forged.confirm):
            act()
        forged.move("StockDispatched", "dispatch_shipment", "DispatchShipment", LINES[:1])

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.NOT_DISPATCHED))) == {DISPATCHED, LEFT}

    @pytest.mark.parametrize("step", ["authorize_payment", "book_shipment"])
    def test_stock_when_it_leaked_and_a_compensation_skipped_then_found(self, step: str) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book):
            act()
        forged.event(forged.shipping, "ShipmentCancelled", "book_shipment", "CancelShipment")
        forged.bar(forged.shipping, "book_shipment", "CancelShipment")
        forged.reject()
        if step == "book_shipment":
            forged.void()

        skipped = Residue(step=step, phase=Phase.COMPENSATION)
        assert broken(audit(forged.evidence(SagaStatus.FORCED, skipped))) == {RETURNED}

    def test_hold_when_a_second_one_is_left_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.reject):
            act()
        _authorize_once_more(forged)

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.MONEY_HELD))) == {NOT_HELD}

    def test_order_when_left_pending_as_listed_then_clean(self) -> None:
        forged = Forgery()
        forged.place()

        assert audit(forged.evidence(SagaStatus.FORCED, self.ORDER_PENDING)).clean

    def test_order_when_confirmed_and_its_rejection_skipped_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.confirm()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.ORDER_PENDING))) == {NEVER_CONFIRMED}


class TestTerminated:
    def test_terminated_when_half_done_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.authorize()

        assert not audit(forged.evidence(SagaStatus.TERMINATED)).clean

    @pytest.mark.parametrize("forged", [Forgery(), Forgery().complete(), Forgery().compensate()])
    def test_terminated_when_nothing_is_half_done_then_clean(self, forged: Forgery) -> None:
        assert audit(forged.evidence(SagaStatus.TERMINATED)).clean


def test_event_when_it_does_not_say_what_it_must_then_unreadable() -> None:
    forged = Forgery()
    forged.event(forged.payment, "PaymentAuthorized", "authorize_payment", "AuthorizePayment")

    with pytest.raises(UnreadableEvent, match="PaymentAuthorized"):
        audit(forged.evidence(SagaStatus.RUNNING))
