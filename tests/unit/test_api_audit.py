"""The audit finds each thing that must never happen, and nothing where nothing did."""

from collections.abc import Callable

import pytest

from api.audit.judge import audit
from api.audit.service_events import UnreadableEvent
from api.audit.verdicts import Audit
from contracts.faults import Phase
from contracts.sagas import Residue, SagaStatus
from tests.support.forgery import LINES, TOTAL, Forgery

ONCE = "at most one effect per saga, step and phase"
NAMED = "every compensation names its action or is a tombstone"
TOMBSTONE = "no effect after its tombstone"
MONEY = "authorized money is captured, voided, expired or held"
STOCK = "stock adds up and is never negative"
CAPTURED = "the order's total is captured, exactly once"
SHIPPED = "one shipment of exactly the ordered units is dispatched"
LEFT = "exactly the ordered units left the stock"
CONFIRMED = "the order is confirmed"
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
    forged.stated_on_hand["PEN-1"] = 10


def _void_what_is_captured(forged: Forgery) -> None:
    forged.void()


def _void_what_was_never_held(forged: Forgery) -> None:
    forged.event(forged.payment, "PaymentVoided", "authorize_payment", "ReleasePayment", authorization="another")


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (_capture_twice, {ONCE, CAPTURED, MONEY, GATEWAY}),
        (_confirm_never, {CONFIRMED}),
        (_reject_after_all, {CONFIRMED}),
        (_dispatch_twice, {ONCE, SHIPPED, LEFT, STOCK}),
        (_dispatch_never, {SHIPPED}),
        (_dispatch_too_few, {LEFT}),
        (_stock_never_left, {LEFT}),
        (_ship_something_else, {SHIPPED}),
        (_gateway_captured_more, {GATEWAY}),
        (_gateway_never_heard, {GATEWAY}),
        (_overstate_stock, {STOCK}),
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
    assert {CAPTURED, SHIPPED, CONFIRMED} <= broken(audit(Forgery().evidence(SagaStatus.COMPLETED)))


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

        assert broken(audit(forged.evidence(SagaStatus.COMPENSATED))) == {REJECTED}

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

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.SHIPMENT_LEFT))) == {RESIDUE}

    def test_retriable_when_left_out_as_listed_then_clean(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.capture, forged.confirm):
            act()

        assert audit(forged.evidence(SagaStatus.FORCED, self.NOT_DISPATCHED)).clean

    def test_retriable_when_another_is_missing_too_then_found(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.capture):
            act()

        assert broken(audit(forged.evidence(SagaStatus.FORCED, self.NOT_DISPATCHED))) == {RESIDUE}


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
