"""The audit finds what a compensated order must never leave behind, and stock that does not add up."""

from datetime import timedelta

import pytest

from api.audit.judge import audit
from contracts.sagas import SagaStatus
from tests.support.forgery import LINES, Forgery
from tests.support.invariants import (
    GATEWAY,
    NAMED,
    NEVER_CONFIRMED,
    NOT_CAPTURED,
    NOT_HELD,
    NOT_SHIPPED,
    ONCE,
    REJECTED,
    RETURNED,
    STOCK,
    TOMBSTONE,
    broken,
)


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

    def test_action_when_after_its_tombstone_by_the_log_and_not_by_the_clock_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.bar(forged.payment, "authorize_payment", "ReleasePayment", "nothing_to_undo")
        forged.authorize()
        # The service's clock was put back in between.
        late = forged.payment.events[0]
        forged.payment.events[0] = late.model_copy(update={"recorded_at": late.recorded_at - timedelta(hours=1)})

        assert TOMBSTONE in broken(audit(forged.evidence(SagaStatus.UNWINDING)))

    def test_action_when_before_its_compensation_by_the_log_and_not_by_the_clock_then_clean(self) -> None:
        forged = Forgery().compensate()
        for log in (forged.order, forged.payment, forged.shipping):
            log.barrier = [
                entry.model_copy(update={"recorded_at": entry.recorded_at - timedelta(hours=1)})
                for entry in log.barrier
            ]

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == set()

    def test_action_when_after_a_tombstone_from_before_positions_were_kept_then_found(self) -> None:
        forged = Forgery()
        forged.knows_positions = False
        forged.bar(forged.payment, "authorize_payment", "ReleasePayment", "nothing_to_undo")
        forged.authorize()

        assert TOMBSTONE in broken(audit(forged.evidence(SagaStatus.UNWINDING)))

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
