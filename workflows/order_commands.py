"""What an order saga asks of the services: each command, built from the saga's input alone."""

from uuid import UUID

from contracts import commands
from contracts.base import Contract
from contracts.orders import Order
from contracts.policy import Policy
from contracts.sagas import Cause
from workflows.names import saga_id_of


class OrderSagaInput(Contract):
    order_id: UUID
    order: Order
    policy: Policy = Policy()

    @property
    def saga_id(self) -> str:
        return saga_id_of(self.order_id)


def place_order(saga: OrderSagaInput) -> commands.PlaceOrder:
    order = saga.order
    return commands.PlaceOrder(
        order_id=saga.order_id,
        saga_id=saga.saga_id,
        customer_id=order.customer_id,
        currency=order.currency,
        lines=order.lines,
    )


def reject_order(saga: OrderSagaInput, cause: Cause) -> commands.RejectOrder:
    return commands.RejectOrder(order_id=saga.order_id, saga_id=saga.saga_id, cause=cause)


def authorize_payment(saga: OrderSagaInput) -> commands.AuthorizePayment:
    order = saga.order
    return commands.AuthorizePayment(
        order_id=saga.order_id,
        saga_id=saga.saga_id,
        customer_id=order.customer_id,
        amount_minor=order.total_minor,
        currency=order.currency,
        payment_token=order.payment_token,
    )


def release_payment(saga: OrderSagaInput, _: Cause) -> commands.ReleasePayment:
    return commands.ReleasePayment(order_id=saga.order_id, saga_id=saga.saga_id)


def book_shipment(saga: OrderSagaInput) -> commands.BookShipment:
    return commands.BookShipment(
        order_id=saga.order_id,
        saga_id=saga.saga_id,
        lines=tuple(commands.Units(sku=line.sku, quantity=line.quantity) for line in saga.order.lines),
        shipping_address=saga.order.shipping_address,
        carrier=saga.order.carrier,
    )


def cancel_shipment(saga: OrderSagaInput, _: Cause) -> commands.CancelShipment:
    return commands.CancelShipment(order_id=saga.order_id, saga_id=saga.saga_id)


def capture_payment(saga: OrderSagaInput) -> commands.CapturePayment:
    return commands.CapturePayment(order_id=saga.order_id, saga_id=saga.saga_id)


def abandon_capture(saga: OrderSagaInput, _: Cause) -> commands.AbandonCapture:
    return commands.AbandonCapture(order_id=saga.order_id, saga_id=saga.saga_id)


def confirm_order(saga: OrderSagaInput) -> commands.ConfirmOrder:
    return commands.ConfirmOrder(order_id=saga.order_id, saga_id=saga.saga_id)


def dispatch_shipment(saga: OrderSagaInput) -> commands.DispatchShipment:
    return commands.DispatchShipment(order_id=saga.order_id, saga_id=saga.saga_id)
