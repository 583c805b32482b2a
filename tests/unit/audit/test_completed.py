"""The audit finds what a completed order must never show."""

from collections.abc import Callable

import pytest

from api.audit.judge import audit
from contracts.sagas import SagaStatus
from tests.support.forgery import TOTAL, Forgery, stock_sums
from tests.support.invariants import (
    BOOKED,
    CAPTURED,
    CONFIRMED,
    DISPATCHED,
    GATEWAY,
    LEFT,
    MONEY,
    NEVER_REJECTED,
    NOT_HELD,
    ONCE,
    STOCK,
    broken,
)


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
