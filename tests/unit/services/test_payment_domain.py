from functools import reduce

import pytest

from contracts.wire import ALREADY_COMPENSATED
from services.kernel.refusal import Refusal
from services.payment import domain
from services.payment.domain import Payment
from services.payment.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentExpired,
    PaymentRefunded,
    PaymentVoided,
)
from services.payment.gateway import (
    AuthorizationAnswer,
    CaptureAnswer,
    RefundAnswer,
    Refunded,
    VoidAnswer,
    Voided,
)
from tests.support.builders import ReturnCommands, SagaCommands

SAGA = SagaCommands()
KEY = f"{SAGA.saga_id}:authorize_payment"
AUTHORIZED = PaymentAuthorized(KEY, SAGA.saga_id, 2500, "EUR")


def after(*events: PaymentEvent) -> Payment:
    return reduce(domain.evolve, events, Payment())


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (AuthorizationAnswer.DECLINED, "CARD_DECLINED"),
        (AuthorizationAnswer.INSUFFICIENT_FUNDS, "INSUFFICIENT_FUNDS"),
        (AuthorizationAnswer.VOIDED, ALREADY_COMPENSATED),
    ],
)
def test_authorize_when_the_gateway_says_no_then_it_is_refused(answer: AuthorizationAnswer, code: str) -> None:
    decision = domain.authorize(SAGA.authorize_payment(), KEY, answer)

    assert isinstance(decision, Refusal)
    assert decision.code == code


@pytest.mark.parametrize(
    "last", [PaymentVoided(KEY), PaymentExpired(KEY), PaymentCaptured(KEY), None], ids=lambda e: type(e).__name__
)
def test_money_when_a_hold_ends_in_any_way_then_the_sums_balance(last: PaymentEvent | None) -> None:
    payment = after(AUTHORIZED, *([last] if last else []))

    parts = (payment.held_minor, payment.voided_minor, payment.expired_minor, payment.captured_minor)

    assert sorted(parts) == [0, 0, 0, 2500]
    assert payment.authorized_minor == sum(parts)


class TestRelease:
    def release(self, payment: Payment, voided: Voided) -> domain.Decision:
        return domain.release(payment, SAGA.release_payment(), KEY, voided)

    def test_release_when_held_then_it_is_voided(self) -> None:
        assert self.release(after(AUTHORIZED), Voided(VoidAnswer.VOIDED, 2500, "EUR")) == (PaymentVoided(KEY),)

    def test_release_when_the_hold_was_never_recorded_then_the_books_catch_up(self) -> None:
        decision = self.release(Payment(), Voided(VoidAnswer.VOIDED, 2500, "EUR"))

        assert decision == (AUTHORIZED, PaymentVoided(KEY))

    def test_release_when_nothing_was_ever_held_then_nothing_happens(self) -> None:
        assert self.release(Payment(), Voided(VoidAnswer.NOTHING_HELD)) == ()

    def test_release_when_it_expired_at_the_gateway_then_the_expiry_is_recorded(self) -> None:
        decision = self.release(after(AUTHORIZED), Voided(VoidAnswer.EXPIRED, 2500, "EUR"))

        assert decision == (PaymentExpired(KEY),)

    def test_release_when_another_saga_holds_money_then_its_hold_stays(self) -> None:
        others = PaymentAuthorized("another:authorize_payment", "another", 700, "EUR")

        decision = self.release(after(others, AUTHORIZED), Voided(VoidAnswer.VOIDED, 2500, "EUR"))

        assert not isinstance(decision, Refusal)
        assert after(others, AUTHORIZED, *decision).held_minor == 700

    def test_release_when_captured_then_it_is_refused(self) -> None:
        refusal = domain.is_releasable(after(AUTHORIZED, PaymentCaptured(KEY)), SAGA.release_payment(), KEY)

        assert isinstance(refusal, Refusal)
        assert refusal.code == "PAYMENT_ALREADY_CAPTURED"

    def test_release_when_captured_while_the_gateway_was_asked_then_it_is_refused(self) -> None:
        refusal = self.release(after(AUTHORIZED, PaymentCaptured(KEY)), Voided(VoidAnswer.CAPTURED, 2500, "EUR"))

        assert isinstance(refusal, Refusal)
        assert refusal.code == "PAYMENT_ALREADY_CAPTURED"

    def test_release_when_captured_at_the_gateway_only_then_it_is_refused(self) -> None:
        refusal = self.release(after(AUTHORIZED), Voided(VoidAnswer.CAPTURED, 2500, "EUR"))

        assert isinstance(refusal, Refusal)
        assert refusal.code == "PAYMENT_ALREADY_CAPTURED"


class TestCapture:
    def test_live_authorization_when_another_saga_holds_then_there_is_none_to_capture(self) -> None:
        assert domain.live_authorization(after(AUTHORIZED), "another") is None

    def test_capture_when_it_expired_then_the_expiry_is_recorded_and_it_is_refused(self) -> None:
        events = domain.capture(after(AUTHORIZED), SAGA.saga_id, CaptureAnswer.EXPIRED)
        refusal = domain.capture_refusal(SAGA.capture_payment(), CaptureAnswer.EXPIRED)

        assert events == (PaymentExpired(KEY),)
        assert refusal is not None
        assert refusal.code == "AUTHORIZATION_EXPIRED"

    def test_capture_when_captured_then_no_refusal(self) -> None:
        assert domain.capture(after(AUTHORIZED), SAGA.saga_id, CaptureAnswer.CAPTURED) == (PaymentCaptured(KEY),)
        assert domain.capture_refusal(SAGA.capture_payment(), CaptureAnswer.CAPTURED) is None

    def test_capture_when_cancelled_before_then_it_is_already_compensated(self) -> None:
        refusal = domain.capture_refusal(SAGA.capture_payment(), CaptureAnswer.CANCELLED)

        assert domain.capture(after(AUTHORIZED), SAGA.saga_id, CaptureAnswer.CANCELLED) == ()
        assert refusal is not None
        assert refusal.code == ALREADY_COMPENSATED


class TestRefund:
    RETURNING = ReturnCommands(SAGA.order_id)
    CAPTURED = (AUTHORIZED, PaymentCaptured(KEY))
    REFUNDED = PaymentRefunded(KEY, 2500)

    def test_refund_when_captured_then_it_is_paid_back_and_stays_captured(self) -> None:
        assert domain.refundable(after(*self.CAPTURED)) == KEY
        assert domain.refund(after(*self.CAPTURED), Refunded(RefundAnswer.REFUNDED, 2500)) == (self.REFUNDED,)
        payment = after(*self.CAPTURED, self.REFUNDED)
        assert (payment.captured_minor, payment.refunded_minor, payment.held_minor) == (2500, 2500, 0)

    @pytest.mark.parametrize("events", [(), (AUTHORIZED,), (AUTHORIZED, PaymentVoided(KEY))])
    def test_refund_when_nothing_is_captured_then_there_is_nothing_to_pay_back(
        self, events: tuple[PaymentEvent, ...]
    ) -> None:
        payment = after(*events)

        assert domain.refundable(payment) is None
        assert domain.not_refundable(payment, self.RETURNING.refund_payment()).code == "NOTHING_CAPTURED"

    def test_refund_when_paid_back_before_then_it_is_refused(self) -> None:
        payment = after(*self.CAPTURED, self.REFUNDED)

        assert domain.refundable(payment) is None
        assert domain.not_refundable(payment, self.RETURNING.refund_payment()).code == "ALREADY_REFUNDED"
        assert domain.refund(payment, Refunded(RefundAnswer.REFUNDED, 2500)) == ()

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (RefundAnswer.REFUSED, "REFUND_REFUSED"),
            (RefundAnswer.NOT_CAPTURED, "NOTHING_CAPTURED"),
            (RefundAnswer.ALREADY_REFUNDED, "ALREADY_REFUNDED"),
            (RefundAnswer.CANCELLED, ALREADY_COMPENSATED),
        ],
    )
    def test_refund_when_the_gateway_says_no_then_it_is_refused_and_nothing_changes(
        self, answer: RefundAnswer, code: str
    ) -> None:
        refusal = domain.refund_refusal(self.RETURNING.refund_payment(), answer)

        assert refusal is not None
        assert refusal.code == code
        assert domain.refund(after(*self.CAPTURED), Refunded(answer)) == ()
