"""What an order's payment is and which changes it allows, given what the gateway says. Pure: no I/O, no framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from contracts.commands import AuthorizePayment, CapturePayment, RefundPayment, ReleasePayment
from contracts.wire import ALREADY_COMPENSATED
from services.kernel.refusal import Refusal
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


class HoldStatus(StrEnum):
    HELD = "held"
    VOIDED = "voided"
    EXPIRED = "expired"
    CAPTURED = "captured"


@dataclass(frozen=True, slots=True)
class Hold:
    """One authorization: an amount that was held, and what became of it."""

    saga_id: str
    amount_minor: int
    currency: str
    status: HoldStatus = HoldStatus.HELD
    refunded: bool = False


@dataclass(frozen=True, slots=True)
class Payment:
    """Always: authorized = held + voided + expired + captured, and captured >= refunded."""

    holds: Mapping[str, Hold] = field(default_factory=dict)
    """By the key with which they were asked for."""
    authorized_minor: int = 0
    held_minor: int = 0
    voided_minor: int = 0
    expired_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0


Decision = tuple[PaymentEvent, ...] | Refusal


def live_authorization(payment: Payment, saga_id: str) -> str | None:
    """The authorization that this saga may capture."""
    held = [key for key, hold in payment.holds.items() if hold.saga_id == saga_id and hold.status is HoldStatus.HELD]
    return held[0] if held else None


def authorize(command: AuthorizePayment, key: str, answer: AuthorizationAnswer) -> Decision:
    match answer:
        case AuthorizationAnswer.HELD:
            return (PaymentAuthorized(key, command.saga_id, command.amount_minor, command.currency),)
        case AuthorizationAnswer.DECLINED:
            return Refusal("CARD_DECLINED", "the card was declined")
        case AuthorizationAnswer.INSUFFICIENT_FUNDS:
            return Refusal("INSUFFICIENT_FUNDS", "the card has not enough funds")
        case AuthorizationAnswer.VOIDED:
            return Refusal(ALREADY_COMPENSATED, f"{key} was voided at the gateway")
        case _:
            assert_never(answer)


def is_releasable(payment: Payment, command: ReleasePayment, key: str) -> bool | Refusal:
    """Whether the gateway may hold something under this key. It may if we do not know of it."""
    hold = payment.holds.get(key)
    if hold and hold.status is HoldStatus.CAPTURED:
        return _already_captured(command)
    return hold is None or hold.status is HoldStatus.HELD


def release(payment: Payment, command: ReleasePayment, key: str, voided: Voided) -> Decision:
    """Answers no events where nothing was held."""
    # The state is newer than the one for which the gateway was asked.
    releasable = is_releasable(payment, command, key)
    if isinstance(releasable, Refusal):
        return releasable
    if not releasable:
        return ()
    hold = payment.holds.get(key)
    # The process that asked for the hold died before it could say so. Now the books catch up with the gateway's.
    missed = () if hold else (PaymentAuthorized(key, command.saga_id, voided.amount_minor, voided.currency),)
    match voided.answer:
        case VoidAnswer.CAPTURED:
            return _already_captured(command)
        case VoidAnswer.EXPIRED:
            return (*missed, PaymentExpired(key))
        case VoidAnswer.VOIDED:
            return (*missed, PaymentVoided(key))
        case VoidAnswer.NOTHING_HELD:
            return (PaymentVoided(key),) if hold else ()
        case _:
            assert_never(voided.answer)


def capture(payment: Payment, saga_id: str, answer: CaptureAnswer) -> tuple[PaymentEvent, ...]:
    """What a capture, or the attempt to cancel it, has changed. An attempt that came too late shows the expiry."""
    authorization = live_authorization(payment, saga_id)
    if authorization is None:
        return ()
    match answer:
        case CaptureAnswer.CAPTURED:
            return (PaymentCaptured(authorization),)
        case CaptureAnswer.EXPIRED:
            return (PaymentExpired(authorization),)
        case CaptureAnswer.NOT_HELD | CaptureAnswer.CANCELLED:
            return ()
        case _:
            assert_never(answer)


def capture_refusal(command: CapturePayment, answer: CaptureAnswer) -> Refusal | None:
    match answer:
        case CaptureAnswer.CAPTURED:
            return None
        case CaptureAnswer.EXPIRED | CaptureAnswer.NOT_HELD:
            return no_live_authorization(command)
        case CaptureAnswer.CANCELLED:
            return Refusal(ALREADY_COMPENSATED, f"the capture of order {command.order_id} was cancelled at the gateway")
        case _:
            assert_never(answer)


def no_live_authorization(command: CapturePayment) -> Refusal:
    return Refusal("AUTHORIZATION_EXPIRED", f"order {command.order_id} has no live authorization of {command.saga_id}")


def refundable(payment: Payment) -> str | None:
    """The authorization whose capture can be paid back."""
    captured = [key for key, hold in payment.holds.items() if hold.status is HoldStatus.CAPTURED and not hold.refunded]
    return captured[0] if captured else None


def not_refundable(payment: Payment, command: RefundPayment) -> Refusal:
    if payment.refunded_minor:
        return Refusal("ALREADY_REFUNDED", f"the payment of order {command.order_id} was paid back before")
    return Refusal("NOTHING_CAPTURED", f"nothing was captured for order {command.order_id}")


def refund(payment: Payment, refunded: Refunded) -> tuple[PaymentEvent, ...]:
    """What a refund, or the attempt to cancel it, has changed."""
    authorization = refundable(payment)
    if authorization is None or refunded.answer is not RefundAnswer.REFUNDED:
        return ()
    return (PaymentRefunded(authorization, refunded.amount_minor),)


def refund_refusal(command: RefundPayment, answer: RefundAnswer) -> Refusal | None:
    order_id = command.order_id
    match answer:
        case RefundAnswer.REFUNDED:
            return None
        case RefundAnswer.REFUSED:
            return Refusal("REFUND_REFUSED", "the card takes no money back")
        case RefundAnswer.NOT_CAPTURED:
            return Refusal("NOTHING_CAPTURED", f"the gateway has captured nothing for order {order_id}")
        case RefundAnswer.ALREADY_REFUNDED:
            return Refusal("ALREADY_REFUNDED", f"the gateway has paid back the payment of order {order_id} before")
        case RefundAnswer.CANCELLED:
            return Refusal(ALREADY_COMPENSATED, f"the refund of order {order_id} was cancelled at the gateway")
        case _:
            assert_never(answer)


def evolve(payment: Payment, event: PaymentEvent) -> Payment:
    if isinstance(event, PaymentAuthorized):
        hold = Hold(event.saga_id, event.amount_minor, event.currency)
        return replace(
            payment,
            holds={**payment.holds, event.authorization: hold},
            authorized_minor=payment.authorized_minor + hold.amount_minor,
            held_minor=payment.held_minor + hold.amount_minor,
        )
    hold = payment.holds[event.authorization]
    if isinstance(event, PaymentRefunded):
        return replace(
            payment,
            holds={**payment.holds, event.authorization: replace(hold, refunded=True)},
            refunded_minor=payment.refunded_minor + event.amount_minor,
        )
    held_minor = payment.held_minor - hold.amount_minor
    match event:
        case PaymentVoided():
            status = HoldStatus.VOIDED
            payment = replace(payment, held_minor=held_minor, voided_minor=payment.voided_minor + hold.amount_minor)
        case PaymentExpired():
            status = HoldStatus.EXPIRED
            payment = replace(payment, held_minor=held_minor, expired_minor=payment.expired_minor + hold.amount_minor)
        case PaymentCaptured():
            status = HoldStatus.CAPTURED
            payment = replace(payment, held_minor=held_minor, captured_minor=payment.captured_minor + hold.amount_minor)
        case _:
            assert_never(event)
    return replace(payment, holds={**payment.holds, event.authorization: replace(hold, status=status)})


def _already_captured(command: ReleasePayment) -> Refusal:
    return Refusal("PAYMENT_ALREADY_CAPTURED", f"the payment of order {command.order_id} is captured")
