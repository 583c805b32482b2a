"""What the outside is told of an order's events."""

from typing import assert_never

from contracts import events as public
from services.kernel.aggregates import Announcement
from services.order.events import (
    OrderConfirmed,
    OrderEvent,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    ReturnOpened,
    ReturnWithdrawn,
)


def announce(event: OrderEvent, stream: str) -> Announcement:
    return Announcement(_data(event), order_id=stream)


def _data(event: OrderEvent) -> public.EventData:
    match event:
        case OrderPlaced():
            lines = tuple(public.OrderLine(**line.model_dump()) for line in event.lines)
            return public.OrderPlaced(
                customer_id=event.customer_id, currency=event.currency, total_minor=event.total_minor, lines=lines
            )
        case OrderConfirmed():
            return public.OrderConfirmed()
        case OrderRejected():
            return public.OrderRejected(cause=event.cause)
        case ReturnOpened():
            return public.ReturnOpened()
        case ReturnWithdrawn():
            return public.ReturnWithdrawn()
        case OrderReturned():
            return public.OrderReturned()
        case _:
            assert_never(event)
