"""The audit judges shipments whose carrier answers by event."""

import pytest

from api.audit.judge import audit
from contracts.sagas import SagaStatus
from tests.support.forgery import Forgery
from tests.support.invariants import (
    BOOKED,
    NAMED,
    NOT_SHIPPED,
    ONCE,
    RETURNED,
    SHIPMENT_LEFT,
    STOCK,
    TOMBSTONE,
    broken,
)


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

        assert audit(forged.evidence(SagaStatus.FORCED, SHIPMENT_LEFT)).clean
