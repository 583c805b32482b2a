"""The order saga: order, payment and shipping as one distributed transaction. The product on one screen."""

from temporalio import workflow

from workflows.names import ORDER_SAGA

with workflow.unsafe.imports_passed_through():
    from activities.order import OrderActivities
    from activities.payment import PaymentActivities
    from activities.shipping import ShippingActivities
    from contracts.sagas import StepKind
    from workflows import order_commands as ask
    from workflows.order_commands import OrderSagaInput
    from workflows.saga.definition import Operation, SagaDefinition, Step
    from workflows.saga.orchestrator import Saga, SagaResult

ORDER_SAGA_DEFINITION = SagaDefinition(
    ORDER_SAGA,
    (
        Step(
            "place_order",
            StepKind.COMPENSATABLE,
            "order",
            action=Operation(
                OrderActivities.place_order, ask.place_order, ("INVALID_ORDER",), "put the order on record as pending"
            ),
            undo=Operation(
                OrderActivities.reject_order, ask.reject_order, ("ORDER_ALREADY_CONFIRMED",), "reject the order"
            ),
        ),
        Step(
            "authorize_payment",
            StepKind.COMPENSATABLE,
            "payment",
            action=Operation(
                PaymentActivities.authorize_payment,
                ask.authorize_payment,
                ("CARD_DECLINED", "INSUFFICIENT_FUNDS"),
                "hold the money",
            ),
            undo=Operation(
                PaymentActivities.release_payment,
                ask.release_payment,
                ("PAYMENT_ALREADY_CAPTURED",),
                "let go of the held money",
            ),
        ),
        Step(
            "book_shipment",
            StepKind.COMPENSATABLE,
            "shipping",
            action=Operation(
                ShippingActivities.book_shipment,
                ask.book_shipment,
                ("OUT_OF_STOCK", "UNDELIVERABLE_ADDRESS"),
                "take the stock, book the shipment",
            ),
            undo=Operation(
                ShippingActivities.cancel_shipment,
                ask.cancel_shipment,
                ("SHIPMENT_ALREADY_DISPATCHED",),
                "cancel the shipment, return the stock",
            ),
            done_by="ShipmentBooked",
            refused_by="ShipmentBookingRefused",
        ),
        Step(
            "capture_payment",
            StepKind.PIVOT,
            "payment",
            action=Operation(
                PaymentActivities.capture_payment,
                ask.capture_payment,
                ("AUTHORIZATION_EXPIRED",),
                "take the money: the point of no return",
            ),
            undo=Operation(
                PaymentActivities.abandon_capture,
                ask.abandon_capture,
                summary="make sure that the money is never taken",
            ),
        ),
        Step(
            "confirm_order",
            StepKind.RETRIABLE,
            "order",
            action=Operation(
                OrderActivities.confirm_order, ask.confirm_order, ("ORDER_NOT_PENDING",), "confirm the order"
            ),
        ),
        Step(
            "dispatch_shipment",
            StepKind.RETRIABLE,
            "shipping",
            action=Operation(
                ShippingActivities.dispatch_shipment,
                ask.dispatch_shipment,
                ("SHIPMENT_NOT_BOOKED",),
                "send the shipment off",
            ),
        ),
    ),
    input=OrderSagaInput,
)


@workflow.defn(name=ORDER_SAGA)
class OrderSaga:
    @workflow.run
    async def run(self, saga: OrderSagaInput) -> SagaResult:
        return await Saga(ORDER_SAGA_DEFINITION, saga, policy=saga.policy, faults=saga.order.faults).run()
