"""The audit finds what a forced order left beyond the residue that it lists."""

import pytest

from api.audit.judge import audit
from contracts.faults import Phase
from contracts.sagas import Residue, SagaStatus
from tests.support.forgery import LINES, TOTAL, Forgery
from tests.support.invariants import (
    CAPTURED,
    CONFIRMED,
    DISPATCHED,
    LEFT,
    MONEY_HELD,
    NEVER_CONFIRMED,
    NEVER_REJECTED,
    NOT_HELD,
    RESIDUE,
    RETURNED,
    SHIPMENT_LEFT,
    broken,
)


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

        assert audit(forged.evidence(SagaStatus.FORCED, SHIPMENT_LEFT)).clean

    def test_residue_when_less_than_listed_then_clean_and_said(self) -> None:
        judged = audit(Forgery().compensate().evidence(SagaStatus.FORCED, SHIPMENT_LEFT))

        assert judged.clean
        told = next(verdict.evidence for verdict in judged.verdicts if verdict.invariant == RESIDUE)
        assert told == ("book_shipment (compensation) is listed, and is not left",)

    def test_residue_when_more_than_listed_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.reject):
            act()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, SHIPMENT_LEFT))) == {RESIDUE, NOT_HELD}

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
        forged.authorize(step="authorize_again")

        assert broken(audit(forged.evidence(SagaStatus.FORCED, MONEY_HELD))) == {NOT_HELD}

    def test_order_when_left_pending_as_listed_then_clean(self) -> None:
        forged = Forgery()
        forged.place()

        assert audit(forged.evidence(SagaStatus.FORCED, self.ORDER_PENDING)).clean

    def test_order_when_confirmed_and_its_rejection_skipped_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.confirm()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.ORDER_PENDING))) == {NEVER_CONFIRMED}
