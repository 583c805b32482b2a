"""The audit of a return finds what it must never leave behind, and that of the order what a return must have done."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from api.audit import invariants_of_a_return as returned
from api.audit.evidence import Evidence
from api.audit.invariants_of_a_return import RETURN_PROMISE
from api.audit.judge import audit
from api.audit.verdicts import Audit
from contracts.faults import Phase
from contracts.sagas import Residue, SagaStatus
from tests.support.forgery import LINES, TOTAL, Forgery
from tests.support.invariants import COVERED, GATEWAY, MONEY, NAMED, ONCE, PAID_BACK, RESIDUE, STOCK, TOMBSTONE, broken

CLOSED = Residue(step="close_order", phase=Phase.ACTION)
RECEIVED = Residue(step="receive_shipment", phase=Phase.ACTION)
OPENED = Residue(step="open_return", phase=Phase.COMPENSATION)
RECALLED = Residue(step="recall_shipment", phase=Phase.COMPENSATION)


def judged(forged: Forgery, status: SagaStatus, *residue: Residue) -> Audit:
    return audit(forged.return_evidence(status, *residue), RETURN_PROMISE)


def delivered() -> Forgery:
    return Forgery().complete()


class TestClean:
    def test_completed_when_all_is_back_then_clean(self) -> None:
        assert judged(delivered().take_back(), SagaStatus.COMPLETED).clean

    def test_compensated_when_all_is_called_off_then_clean(self) -> None:
        assert judged(delivered().call_off(), SagaStatus.COMPENSATED).clean

    def test_compensated_when_another_return_went_through_then_clean(self) -> None:
        forged = delivered().call_off()
        first, forged.return_id = forged.return_id, "return-another"
        forged.take_back()

        assert judged(forged, SagaStatus.COMPLETED).clean
        forged.return_id = first
        assert judged(forged, SagaStatus.COMPENSATED).clean

    def test_compensated_when_it_was_refused_before_anything_happened_then_clean(self) -> None:
        forged = Forgery().compensate()
        forged.bar(forged.order, "open_return", "WithdrawReturn", "nothing_to_undo")
        forged.bar(forged.shipping, "recall_shipment", "CancelRecall", "nothing_to_undo")

        assert judged(forged, SagaStatus.COMPENSATED).clean

    @pytest.mark.parametrize("forged", [delivered(), delivered().take_back(), delivered().call_off()])
    def test_terminated_when_nothing_is_half_done_then_clean(self, forged: Forgery) -> None:
        assert judged(forged, SagaStatus.TERMINATED).clean

    def test_terminated_when_half_done_then_found(self) -> None:
        forged = delivered()
        forged.open_return()

        assert not judged(forged, SagaStatus.TERMINATED).clean


def _refund_twice(forged: Forgery) -> None:
    forged.refund()


def _refund_never(forged: Forgery) -> None:
    forged.payment.events.pop()
    forged.gateway_refunds.clear()


def _refund_less(forged: Forgery) -> None:
    _refund_never(forged)
    forged.refund(TOTAL - 1)


def _refund_more(forged: Forgery) -> None:
    _refund_never(forged)
    forged.refund(TOTAL + 1)


def _refund_by_another_saga(forged: Forgery) -> None:
    forged.payment.events[-1] = forged.payment.events[-1].model_copy(update={"saga_id": "return-another"})


def _refund_what_was_never_held(forged: Forgery) -> None:
    event = forged.payment.events[-1]
    forged.payment.events[-1] = event.model_copy(update={"data": {**event.data, "authorization": "another"}})


def _gateway_refunded_twice(forged: Forgery) -> None:
    forged.gateway_refunds["lost"] = TOTAL


def _gateway_never_refunded(forged: Forgery) -> None:
    forged.gateway_refunds.clear()


def _receive_twice(forged: Forgery) -> None:
    forged.receive()


def _receive_never(forged: Forgery) -> None:
    forged.shipping.events.pop()


def _receive_too_little(forged: Forgery) -> None:
    forged.stock["PEN-1"].events.pop()


def _overstate_what_came_back(forged: Forgery) -> None:
    forged.restated["PEN-1"] = {"received": 10, "on_hand": 10, "booked": 0, "dispatched": 1, "taken_back": 2}


def _close_never(forged: Forgery) -> None:
    forged.order.events.pop()


def _close_twice(forged: Forgery) -> None:
    forged.close_return()


def _understate_refunds(forged: Forgery) -> None:
    forged.restated["payment"] = {
        "authorized_minor": TOTAL,
        "held_minor": 0,
        "captured_minor": TOTAL,
        "voided_minor": 0,
        "expired_minor": 0,
        "refunded_minor": 0,
    }


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (_refund_twice, {ONCE, COVERED, returned.REFUNDED, GATEWAY}),
        (_refund_never, {returned.REFUNDED}),
        (_refund_less, {returned.REFUNDED}),
        (_refund_more, {COVERED, returned.REFUNDED}),
        (_refund_by_another_saga, {returned.REFUNDED}),
        (_refund_what_was_never_held, {MONEY}),
        (_understate_refunds, {COVERED}),
        (_gateway_refunded_twice, {GATEWAY}),
        (_gateway_never_refunded, {GATEWAY}),
        (_receive_twice, {ONCE, returned.SHIPMENT_BACK, returned.UNITS_BACK, STOCK}),
        (_receive_never, {returned.SHIPMENT_BACK}),
        (_receive_too_little, {returned.UNITS_BACK}),
        (_overstate_what_came_back, {STOCK}),
        (_close_never, {returned.ORDER_RETURNED}),
        (_close_twice, {ONCE, returned.ORDER_RETURNED}),
    ],
)
def test_completed_when_forged_then_found(forge: Callable[[Forgery], None], found: set[str]) -> None:
    forged = delivered().take_back()
    forge(forged)

    assert broken(judged(forged, SagaStatus.COMPLETED)) == found


def test_completed_when_nothing_happened_then_found() -> None:
    found = broken(judged(delivered(), SagaStatus.COMPLETED))

    assert found == {returned.REFUNDED, returned.SHIPMENT_BACK, returned.UNITS_BACK, returned.ORDER_RETURNED}


def _stay_open(forged: Forgery) -> None:
    forged.open_return()


def _stay_recalled(forged: Forgery) -> None:
    forged.recall()


def _pay_back_all_the_same(forged: Forgery) -> None:
    forged.refund()


def _take_back_all_the_same(forged: Forgery) -> None:
    forged.receive()


def _return_all_the_same(forged: Forgery) -> None:
    forged.close_return()


def _withdraw_what_was_never_opened(forged: Forgery) -> None:
    forged.order.events[:] = [event for event in forged.order.events if event.type != "ReturnOpened"]


def _refund_after_the_fence(forged: Forgery) -> None:
    forged.bar(forged.payment, "refund_payment", "AbandonRefund", "fenced", "fence")
    forged.refund()


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (_stay_open, {ONCE, TOMBSTONE, returned.NOT_OPEN}),
        (_stay_recalled, {ONCE, TOMBSTONE, returned.NOT_RECALLED}),
        (_pay_back_all_the_same, {returned.NOT_REFUNDED}),
        (_take_back_all_the_same, {returned.NOTHING_BACK}),
        (_return_all_the_same, {returned.NOT_RETURNED}),
        (_withdraw_what_was_never_opened, {NAMED, returned.NOT_OPEN}),
        (_refund_after_the_fence, {NAMED, TOMBSTONE, returned.NOT_REFUNDED}),
    ],
)
def test_compensated_when_forged_then_found(forge: Callable[[Forgery], None], found: set[str]) -> None:
    forged = delivered().call_off()
    forge(forged)

    assert broken(judged(forged, SagaStatus.COMPENSATED)) == found


class TestForced:
    def test_residue_when_as_listed_then_clean(self) -> None:
        forged = delivered()
        for act in (forged.open_return, forged.recall, forged.refund, forged.receive):
            act()

        assert judged(forged, SagaStatus.FORCED, CLOSED).clean
        assert broken(judged(forged, SagaStatus.FORCED, RECEIVED)) == {RESIDUE, returned.ORDER_RETURNED}

    def test_residue_when_the_shipment_was_not_received_then_clean(self) -> None:
        forged = delivered()
        for act in (forged.open_return, forged.recall, forged.refund, forged.close_return):
            act()

        assert judged(forged, SagaStatus.FORCED, RECEIVED).clean

    def test_residue_when_a_compensation_was_skipped_then_clean(self) -> None:
        forged = delivered()
        for act in (forged.open_return, forged.recall, forged.withdraw_return):
            act()

        assert judged(forged, SagaStatus.FORCED, RECALLED).clean
        assert broken(judged(forged, SagaStatus.FORCED, OPENED)) == {RESIDUE, returned.NOT_RECALLED}


class TestOrder:
    """The order's own audit, of which a return is a part."""

    def evidence(self, forged: Forgery, **returns: SagaStatus | None) -> Evidence:
        return replace(forged.evidence(SagaStatus.COMPLETED), returns=returns)

    def test_completed_when_it_was_returned_or_that_was_called_off_then_clean(self) -> None:
        assert audit(self.evidence(delivered().take_back(), r=SagaStatus.COMPLETED)).clean
        assert audit(self.evidence(delivered().call_off(), r=SagaStatus.COMPENSATED)).clean
        assert audit(self.evidence(delivered().take_back(), r=None)).clean

    def test_completed_when_units_came_back_unpaid_then_found(self) -> None:
        forged = delivered().take_back()
        _refund_never(forged)

        assert broken(audit(self.evidence(forged, r=SagaStatus.COMPLETED))) == {PAID_BACK}

    def test_completed_when_money_went_back_for_nothing_then_found(self) -> None:
        forged = delivered()
        forged.refund()

        assert broken(audit(self.evidence(forged))) == {PAID_BACK}

    def test_completed_when_only_some_units_came_back_then_found(self) -> None:
        forged = delivered()
        forged.refund()
        forged.receive(LINES[:1])

        assert broken(audit(self.evidence(forged, r=SagaStatus.COMPLETED))) == {PAID_BACK}

    def test_completed_when_a_return_is_under_way_then_its_half_done_work_is_not_judged(self) -> None:
        forged = delivered()
        forged.open_return()
        forged.gateway_refunds["just now"] = TOTAL

        assert audit(self.evidence(forged, r=SagaStatus.RUNNING)).clean
        assert broken(audit(self.evidence(forged, r=SagaStatus.COMPENSATED))) == {GATEWAY}
        forged.refund()
        assert audit(self.evidence(forged, r=SagaStatus.STUCK)).clean

    def test_completed_when_a_return_was_forced_then_its_residue_is_its_own(self) -> None:
        forged = delivered()
        forged.refund()

        assert audit(self.evidence(forged, r=SagaStatus.FORCED)).clean
