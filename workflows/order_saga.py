"""The order saga: order, payment and shipping as one distributed transaction. The product on one screen."""

from uuid import UUID

from temporalio import workflow

from workflows.names import ORDER_SAGA, saga_id_of

with workflow.unsafe.imports_passed_through():
    from activities.order import OrderActivities
    from activities.payment import PaymentActivities
    from activities.shipping import ShippingActivities
    from contracts import commands
    from contracts.base import Contract
    from contracts.orders import Order
    from contracts.sagas import Cause, StepKind
    from workflows.policies import Policy
    from workflows.saga.definition import Operation, SagaDefinition, Step
    from workflows.saga.orchestrator import Saga, SagaResult


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


ORDER_SAGA_DEFINITION = SagaDefinition(
    ORDER_SAGA,
    (
        Step(
            "place_order",
            StepKind.COMPENSATABLE,
            "order",
            action=Operation(OrderActivities.place_order, place_order, ("INVALID_ORDER",)),
            undo=Operation(OrderActivities.reject_order, reject_order, ("ORDER_ALREADY_CONFIRMED",)),
        ),
        Step(
            "authorize_payment",
            StepKind.COMPENSATABLE,
            "payment",
            action=Operation(
                PaymentActivities.authorize_payment, authorize_payment, ("CARD_DECLINED", "INSUFFICIENT_FUNDS")
            ),
            undo=Operation(PaymentActivities.release_payment, release_payment, ("PAYMENT_ALREADY_CAPTURED",)),
        ),
        Step(
            "book_shipment",
            StepKind.COMPENSATABLE,
            "shipping",
            action=Operation(
                ShippingActivities.book_shipment, book_shipment, ("OUT_OF_STOCK", "UNDELIVERABLE_ADDRESS")
            ),
            undo=Operation(ShippingActivities.cancel_shipment, cancel_shipment, ("SHIPMENT_ALREADY_DISPATCHED",)),
        ),
        Step(
            "capture_payment",
            StepKind.PIVOT,
            "payment",
            action=Operation(PaymentActivities.capture_payment, capture_payment, ("AUTHORIZATION_EXPIRED",)),
            undo=Operation(PaymentActivities.abandon_capture, abandon_capture),
        ),
        Step(
            "confirm_order",
            StepKind.RETRIABLE,
            "order",
            action=Operation(OrderActivities.confirm_order, confirm_order, ("ORDER_NOT_PENDING",)),
        ),
        Step(
            "dispatch_shipment",
            StepKind.RETRIABLE,
            "shipping",
            action=Operation(ShippingActivities.dispatch_shipment, dispatch_shipment, ("SHIPMENT_NOT_BOOKED",)),
        ),
    ),
)


@workflow.defn(name=ORDER_SAGA)
class OrderSaga:
    @workflow.run
    async def run(self, saga: OrderSagaInput) -> SagaResult:
        return await Saga(ORDER_SAGA_DEFINITION, saga, policy=saga.policy, faults=saga.order.faults).run()
