"""What sagas ask of the payment service."""

from temporalio import activity

from activities.service_client import ServiceClient
from contracts.commands import (
    AbandonCapture,
    AbandonRefund,
    AuthorizePayment,
    CapturePayment,
    RefundPayment,
    ReleasePayment,
)
from contracts.wire import Call, Reply


class PaymentActivities:
    def __init__(self, payment: ServiceClient) -> None:
        self._payment = payment

    @activity.defn
    async def authorize_payment(self, command: AuthorizePayment, call: Call) -> Reply:
        return await self._payment.send(command, call)

    @activity.defn
    async def release_payment(self, command: ReleasePayment, call: Call) -> Reply:
        return await self._payment.send(command, call)

    @activity.defn
    async def capture_payment(self, command: CapturePayment, call: Call) -> Reply:
        return await self._payment.send(command, call)

    @activity.defn
    async def abandon_capture(self, command: AbandonCapture, call: Call) -> Reply:
        return await self._payment.send(command, call)

    @activity.defn
    async def refund_payment(self, command: RefundPayment, call: Call) -> Reply:
        return await self._payment.send(command, call)

    @activity.defn
    async def abandon_refund(self, command: AbandonRefund, call: Call) -> Reply:
        return await self._payment.send(command, call)
