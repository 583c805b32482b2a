"""Takes the order service's commands to its domain."""

from collections.abc import Callable
from typing import TypeVar

from contracts.commands import (
    CloseReturn,
    Command,
    ConfirmOrder,
    OpenReturn,
    PlaceOrder,
    RejectOrder,
    WithdrawReturn,
)
from contracts.wire import Outcome
from services.kernel.aggregates import Aggregate
from services.kernel.operations import AnyOperation, CommandPhase, Operation, order_stream
from services.kernel.refusal import Refusal
from services.kernel.unit_of_work import UnitOfWork
from services.order import domain
from services.order.domain import Order
from services.order.events import ORDER_EVENTS, OrderEvent
from services.order.public import announce

C = TypeVar("C", bound=Command)

ORDER: Aggregate[Order, OrderEvent] = Aggregate(Order(), domain.evolve, ORDER_EVENTS, announce=announce)


def handler_of(
    decide: Callable[[Order, C], tuple[OrderEvent, ...] | Refusal],
) -> Callable[[C, UnitOfWork], Outcome | Refusal]:
    """A handler that loads the order, decides, and appends."""

    def handle(command: C, unit: UnitOfWork) -> Outcome | Refusal:
        stream = order_stream(command)
        order = unit.load(ORDER, stream)
        decision = decide(order.state, command)
        if isinstance(decision, Refusal):
            return decision
        unit.append(ORDER, stream, decision, expected_version=order.version)
        return Outcome.DONE if decision else Outcome.NOTHING_TO_UNDO

    return handle


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        PlaceOrder,
        CommandPhase.ACTION,
        handler_of(domain.place),
        order_stream,
        refusals=("INVALID_ORDER",),
    ),
    Operation(
        RejectOrder,
        CommandPhase.UNDO,
        handler_of(domain.reject),
        order_stream,
        refusals=("ORDER_ALREADY_CONFIRMED",),
        undoes=PlaceOrder,
        # A saga that is run again may unwind for another cause. The first one is on record, and stays.
        not_identity=frozenset({"cause"}),
    ),
    Operation(
        ConfirmOrder,
        CommandPhase.ACTION,
        handler_of(domain.confirm),
        order_stream,
        refusals=("ORDER_NOT_PENDING",),
        retriable=True,
    ),
    Operation(
        OpenReturn,
        CommandPhase.ACTION,
        handler_of(domain.open_return),
        order_stream,
        refusals=("ORDER_NOT_CONFIRMED", "RETURN_UNDER_WAY", "ALREADY_RETURNED"),
    ),
    Operation(
        WithdrawReturn,
        CommandPhase.UNDO,
        handler_of(domain.withdraw_return),
        order_stream,
        refusals=("RETURN_ALREADY_CLOSED",),
        undoes=OpenReturn,
    ),
    Operation(
        CloseReturn,
        CommandPhase.ACTION,
        handler_of(domain.close_return),
        order_stream,
        refusals=("RETURN_NOT_OPEN",),
        retriable=True,
    ),
)
