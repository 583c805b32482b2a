"""The return saga: a whole order comes back. docs/your-own-saga.md builds it, as an example for sagas of one's own."""

from temporalio import workflow

from workflows.names import RETURN_SAGA

with workflow.unsafe.imports_passed_through():
    from activities.order import OrderActivities as Order
    from activities.payment import PaymentActivities as Payment
    from activities.shipping import ShippingActivities as Shipping
    from contracts.sagas import StepKind
    from workflows import return_commands as ask
    from workflows.return_commands import ReturnSagaInput
    from workflows.saga.definition import Operation, SagaDefinition, Step
    from workflows.saga.orchestrator import Saga, SagaResult

# Each operation: its activity, its command, how it may be refused, what it does in a few words.
OPEN = Operation(
    Order.open_return,
    ask.open_return,
    ("ORDER_NOT_CONFIRMED", "RETURN_UNDER_WAY", "ALREADY_RETURNED"),
    "let no other return begin",
)
WITHDRAW = Operation(Order.withdraw_return, ask.withdraw_return, ("RETURN_ALREADY_CLOSED",), "call the return off")
RECALL = Operation(
    Shipping.recall_shipment,
    ask.recall_shipment,
    ("SHIPMENT_NOT_DISPATCHED", "RECALL_UNDER_WAY", "ALREADY_RETURNED"),
    "have the shipment brought back",
)
CANCEL = Operation(
    Shipping.cancel_recall, ask.cancel_recall, ("SHIPMENT_ALREADY_RETURNED",), "leave the shipment where it is"
)
REFUND = Operation(
    Payment.refund_payment,
    ask.refund_payment,
    ("REFUND_REFUSED", "NOTHING_CAPTURED", "ALREADY_REFUNDED"),
    "pay the money back: the point of no return",
)
ABANDON = Operation(Payment.abandon_refund, ask.abandon_refund, (), "make sure that nothing is ever paid back")
RECEIVE = Operation(
    Shipping.receive_shipment, ask.receive_shipment, ("SHIPMENT_NOT_RECALLED",), "put the units back on the shelf"
)
CLOSE = Operation(Order.close_return, ask.close_return, ("RETURN_NOT_OPEN",), "put the order on record as returned")

RETURN_SAGA_DEFINITION = SagaDefinition(
    RETURN_SAGA,
    (
        (
            Step("open_return", StepKind.COMPENSATABLE, "order", OPEN, WITHDRAW),
            Step("recall_shipment", StepKind.COMPENSATABLE, "shipping", RECALL, CANCEL),
        ),
        Step("refund_payment", StepKind.PIVOT, "payment", REFUND, ABANDON),
        (
            Step("receive_shipment", StepKind.RETRIABLE, "shipping", RECEIVE),
            Step("close_order", StepKind.RETRIABLE, "order", CLOSE),
        ),
    ),
    input=ReturnSagaInput,
)


@workflow.defn(name=RETURN_SAGA)
class ReturnSaga:
    @workflow.run
    async def run(self, saga: ReturnSagaInput) -> SagaResult:
        return await Saga(RETURN_SAGA_DEFINITION, saga, policy=saga.policy, faults=saga.asked.faults).run()
