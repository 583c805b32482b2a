"""Takes the payment service's commands to the gateway and to its domain.

The intent is committed first, then the gateway is asked, then the outcome is committed (see kernel/executor.py).
Whoever comes after a crash in between asks the gateway again by the same key.
"""

from contracts.commands import (
    AbandonCapture,
    AbandonRefund,
    AuthorizePayment,
    CapturePayment,
    Command,
    RefundPayment,
    ReleasePayment,
)
from contracts.wire import Outcome
from services.kernel.aggregates import Aggregate
from services.kernel.decisions import Conclusion, Outward
from services.kernel.operations import AnyOperation, CommandPhase, Operation, order_stream
from services.kernel.refusal import Refusal
from services.kernel.unit_of_work import UnitOfWork
from services.payment import domain
from services.payment.domain import Decision, Payment
from services.payment.events import PAYMENT_EVENTS, PaymentEvent
from services.payment.gateway import CaptureAnswer, PaymentGateway, RefundAnswer, Refunded
from services.payment.public import announce

PAYMENT: Aggregate[Payment, PaymentEvent] = Aggregate(Payment(), domain.evolve, PAYMENT_EVENTS, announce=announce)


class PaymentHandlers:
    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    def authorize(self, command: AuthorizePayment, unit: UnitOfWork) -> Outward:
        key = unit.key

        async def ask() -> Conclusion:
            answer = await self._gateway.authorize(
                key,
                reference=order_stream(command),
                amount_minor=command.amount_minor,
                currency=command.currency,
                token=command.payment_token,
            )
            return lambda unit: _append(command, unit, domain.authorize(command, key, answer))

        return Outward(ask)

    def release(self, command: ReleasePayment, unit: UnitOfWork) -> Outcome | Refusal | Outward:
        key = unit.key
        releasable = domain.is_releasable(_load(command, unit), command, key)
        if isinstance(releasable, Refusal):
            return releasable
        if not releasable:
            return Outcome.NOTHING_TO_UNDO

        async def ask() -> Conclusion:
            voided = await self._gateway.void(key, reference=order_stream(command))
            return lambda unit: _append(command, unit, domain.release(_load(command, unit), command, key, voided))

        return Outward(ask)

    def capture(self, command: CapturePayment, unit: UnitOfWork) -> Refusal | Outward:
        key = unit.key
        authorization = domain.live_authorization(_load(command, unit), command.saga_id)
        if authorization is None:
            return domain.no_live_authorization(command)

        async def ask() -> Conclusion:
            answer = await self._gateway.capture(key, reference=order_stream(command), authorization=authorization)
            return lambda unit: _conclude_capture(command, unit, answer)

        return Outward(ask)

    def abandon_capture(self, command: AbandonCapture, unit: UnitOfWork) -> Outward:
        """Called only where a capture was begun and not recorded: the gateway knows what became of it."""
        key = unit.key

        async def ask() -> Conclusion:
            answer = await self._gateway.cancel_capture(key, reference=order_stream(command))
            return lambda unit: _conclude_fence(command, unit, answer)

        return Outward(ask)

    def refund(self, command: RefundPayment, unit: UnitOfWork) -> Refusal | Outward:
        key, payment = unit.key, _load(command, unit)
        authorization = domain.refundable(payment)
        if authorization is None:
            return domain.not_refundable(payment, command)

        async def ask() -> Conclusion:
            refunded = await self._gateway.refund(key, reference=order_stream(command), authorization=authorization)
            return lambda unit: _conclude_refund(command, unit, refunded)

        return Outward(ask)

    def abandon_refund(self, command: AbandonRefund, unit: UnitOfWork) -> Outward:
        """Called only where a refund was begun and not recorded: the gateway knows what became of it."""
        key = unit.key

        async def ask() -> Conclusion:
            refunded = await self._gateway.cancel_refund(key, reference=order_stream(command))
            return lambda unit: _conclude_refund_fence(command, unit, refunded)

        return Outward(ask)


def operations(gateway: PaymentGateway) -> tuple[AnyOperation, ...]:
    handlers = PaymentHandlers(gateway)
    return (
        Operation(
            AuthorizePayment,
            CommandPhase.ACTION,
            handlers.authorize,
            order_stream,
            refusals=("CARD_DECLINED", "INSUFFICIENT_FUNDS"),
        ),
        Operation(
            ReleasePayment,
            CommandPhase.UNDO,
            handlers.release,
            order_stream,
            refusals=("PAYMENT_ALREADY_CAPTURED",),
            undoes=AuthorizePayment,
        ),
        Operation(
            CapturePayment,
            CommandPhase.ACTION,
            handlers.capture,
            order_stream,
            refusals=("AUTHORIZATION_EXPIRED",),
        ),
        Operation(
            AbandonCapture,
            CommandPhase.FENCE,
            handlers.abandon_capture,
            order_stream,
            undoes=CapturePayment,
        ),
        Operation(
            RefundPayment,
            CommandPhase.ACTION,
            handlers.refund,
            order_stream,
            refusals=("REFUND_REFUSED", "NOTHING_CAPTURED", "ALREADY_REFUNDED"),
        ),
        Operation(
            AbandonRefund,
            CommandPhase.FENCE,
            handlers.abandon_refund,
            order_stream,
            undoes=RefundPayment,
        ),
    )


def _load(command: Command, unit: UnitOfWork) -> Payment:
    return unit.load(PAYMENT, order_stream(command)).state


def _append(command: Command, unit: UnitOfWork, decision: Decision) -> Outcome | Refusal:
    if isinstance(decision, Refusal):
        return decision
    stream = order_stream(command)
    unit.append(PAYMENT, stream, decision, expected_version=unit.load(PAYMENT, stream).version)
    return Outcome.DONE if decision else Outcome.NOTHING_TO_UNDO


def _conclude_capture(command: CapturePayment, unit: UnitOfWork, answer: CaptureAnswer) -> Outcome | Refusal:
    _append(command, unit, domain.capture(_load(command, unit), command.saga_id, answer))
    return domain.capture_refusal(command, answer) or Outcome.DONE


def _conclude_fence(command: AbandonCapture, unit: UnitOfWork, answer: CaptureAnswer) -> Outcome:
    _append(command, unit, domain.capture(_load(command, unit), command.saga_id, answer))
    return Outcome.ALREADY_DONE if answer is CaptureAnswer.CAPTURED else Outcome.FENCED


def _conclude_refund(command: RefundPayment, unit: UnitOfWork, refunded: Refunded) -> Outcome | Refusal:
    _append(command, unit, domain.refund(_load(command, unit), refunded))
    return domain.refund_refusal(command, refunded.answer) or Outcome.DONE


def _conclude_refund_fence(command: AbandonRefund, unit: UnitOfWork, refunded: Refunded) -> Outcome:
    _append(command, unit, domain.refund(_load(command, unit), refunded))
    return Outcome.ALREADY_DONE if refunded.answer is RefundAnswer.REFUNDED else Outcome.FENCED
