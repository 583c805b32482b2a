"""What an order is and which changes it allows. Pure: no I/O, no framework."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from contracts.commands import CloseReturn, ConfirmOrder, OpenReturn, PlaceOrder, RejectOrder, WithdrawReturn
from contracts.orders import Line, total_minor
from contracts.sagas import Cause
from services.kernel.refusal import Refusal
from services.order.events import (
    OrderConfirmed,
    OrderEvent,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    ReturnOpened,
    ReturnWithdrawn,
)

MAX_TOTAL_MINOR = 1_000_000_00
"""What we sell in one order, in minor units. Above it, people talk to people."""


class OrderStatus(StrEnum):
    NONE = "none"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Order:
    status: OrderStatus = OrderStatus.NONE
    saga_id: str | None = None
    """The saga that placed it, and alone may change it while it is pending."""
    customer_id: str | None = None
    currency: str | None = None
    lines: tuple[Line, ...] = ()
    total_minor: int = 0
    cause: Cause | None = None
    """Why it was rejected."""
    returned_by: str | None = None
    """The saga that returns it, or has: while its return is under way that one alone may change it."""


def place(order: Order, command: PlaceOrder) -> tuple[OrderEvent, ...] | Refusal:
    if order.status is not OrderStatus.NONE:
        return Refusal("ORDER_ALREADY_PLACED", f"order {command.order_id} was placed by {order.saga_id}")
    total = total_minor(command.lines)
    if total > MAX_TOTAL_MINOR:
        return Refusal("INVALID_ORDER", f"the total of {total} exceeds the limit of {MAX_TOTAL_MINOR} minor units")
    return (OrderPlaced(command.saga_id, command.customer_id, command.currency, command.lines, total),)


def reject(order: Order, command: RejectOrder) -> tuple[OrderEvent, ...] | Refusal:
    """Answers no events where there is nothing left to reject."""
    if order.status in (OrderStatus.CONFIRMED, OrderStatus.RETURNED):
        return Refusal("ORDER_ALREADY_CONFIRMED", f"order {command.order_id} is confirmed")
    if not _is_pending_for(order, command.saga_id):
        return ()
    return (OrderRejected(command.cause),)


def confirm(order: Order, command: ConfirmOrder) -> tuple[OrderEvent, ...] | Refusal:
    if not _is_pending_for(order, command.saga_id):
        detail = f"order {command.order_id} is {order.status}, not pending for {command.saga_id}"
        return Refusal("ORDER_NOT_PENDING", detail)
    return (OrderConfirmed(),)


def open_return(order: Order, command: OpenReturn) -> tuple[OrderEvent, ...] | Refusal:
    if order.status is OrderStatus.RETURNED:
        return Refusal("ALREADY_RETURNED", f"order {command.order_id} was returned by {order.returned_by}")
    if order.status is not OrderStatus.CONFIRMED:
        return Refusal("ORDER_NOT_CONFIRMED", f"order {command.order_id} is {order.status}, not confirmed")
    if order.returned_by is not None:
        return Refusal("RETURN_UNDER_WAY", f"order {command.order_id} is being returned by {order.returned_by}")
    return (ReturnOpened(command.saga_id),)


def withdraw_return(order: Order, command: WithdrawReturn) -> tuple[OrderEvent, ...] | Refusal:
    """Answers no events where this saga has nothing open."""
    if order.returned_by != command.saga_id:
        return ()
    if order.status is OrderStatus.RETURNED:
        return Refusal("RETURN_ALREADY_CLOSED", f"order {command.order_id} is returned")
    return (ReturnWithdrawn(),)


def close_return(order: Order, command: CloseReturn) -> tuple[OrderEvent, ...] | Refusal:
    if order.status is not OrderStatus.CONFIRMED or order.returned_by != command.saga_id:
        return Refusal("RETURN_NOT_OPEN", f"order {command.order_id} has no open return of {command.saga_id}")
    return (OrderReturned(),)


def evolve(order: Order, event: OrderEvent) -> Order:
    match event:
        case OrderPlaced():
            return Order(
                OrderStatus.PENDING, event.saga_id, event.customer_id, event.currency, event.lines, event.total_minor
            )
        case OrderRejected():
            return replace(order, status=OrderStatus.REJECTED, cause=event.cause)
        case OrderConfirmed():
            return replace(order, status=OrderStatus.CONFIRMED)
        case ReturnOpened():
            return replace(order, returned_by=event.saga_id)
        case ReturnWithdrawn():
            return replace(order, returned_by=None)
        case OrderReturned():
            return replace(order, status=OrderStatus.RETURNED)
        case _:
            assert_never(event)


def _is_pending_for(order: Order, saga_id: str) -> bool:
    return order.status is OrderStatus.PENDING and order.saga_id == saga_id
