"""What a return saga asks of the services: each command, built from the saga's input alone."""

from uuid import UUID

from contracts import commands
from contracts.base import Contract
from contracts.returns import Return
from contracts.sagas import Cause
from workflows.names import return_saga_id_of
from workflows.saga_input import SagaInput


class ReturnedOrder(Contract):
    """What those who show the saga are told of the order. Its commands need none of it."""

    customer_id: str
    total_minor: int
    currency: str


class ReturnSagaInput(SagaInput):
    return_id: UUID
    order: ReturnedOrder
    asked: Return = Return()

    @property
    def saga_id(self) -> str:
        return return_saga_id_of(self.return_id)

    @property
    def subject(self) -> str:
        return "the return of an order"

    @property
    def request(self) -> Return:
        return self.asked

    @property
    def ordered(self) -> ReturnedOrder:
        return self.order


def open_return(saga: ReturnSagaInput) -> commands.OpenReturn:
    return commands.OpenReturn(order_id=saga.order_id, saga_id=saga.saga_id)


def withdraw_return(saga: ReturnSagaInput, _: Cause) -> commands.WithdrawReturn:
    return commands.WithdrawReturn(order_id=saga.order_id, saga_id=saga.saga_id)


def recall_shipment(saga: ReturnSagaInput) -> commands.RecallShipment:
    return commands.RecallShipment(order_id=saga.order_id, saga_id=saga.saga_id)


def cancel_recall(saga: ReturnSagaInput, _: Cause) -> commands.CancelRecall:
    return commands.CancelRecall(order_id=saga.order_id, saga_id=saga.saga_id)


def refund_payment(saga: ReturnSagaInput) -> commands.RefundPayment:
    return commands.RefundPayment(order_id=saga.order_id, saga_id=saga.saga_id)


def abandon_refund(saga: ReturnSagaInput, _: Cause) -> commands.AbandonRefund:
    return commands.AbandonRefund(order_id=saga.order_id, saga_id=saga.saga_id)


def receive_shipment(saga: ReturnSagaInput) -> commands.ReceiveShipment:
    return commands.ReceiveShipment(order_id=saga.order_id, saga_id=saga.saga_id)


def close_return(saga: ReturnSagaInput) -> commands.CloseReturn:
    return commands.CloseReturn(order_id=saga.order_id, saga_id=saga.saga_id)
