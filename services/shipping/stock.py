"""The stock of one SKU. Pure: no I/O, no framework.

Always: on hand + booked + dispatched - taken back = received, and none of them is negative.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from services.shipping.events import (
    StockBooked,
    StockDispatched,
    StockEvent,
    StockReceived,
    StockReturned,
    StockTakenBack,
)


@dataclass(frozen=True, slots=True)
class Stock:
    received: int = 0
    on_hand: int = 0
    booked: int = 0
    dispatched: int = 0
    taken_back: int = 0
    """Of those dispatched. They are on hand again."""


def evolve(stock: Stock, event: StockEvent) -> Stock:
    quantity = event.quantity
    match event:
        case StockReceived():
            return replace(stock, received=stock.received + quantity, on_hand=stock.on_hand + quantity)
        case StockBooked():
            return replace(stock, on_hand=stock.on_hand - quantity, booked=stock.booked + quantity)
        case StockReturned():
            return replace(stock, on_hand=stock.on_hand + quantity, booked=stock.booked - quantity)
        case StockDispatched():
            return replace(stock, booked=stock.booked - quantity, dispatched=stock.dispatched + quantity)
        case StockTakenBack():
            return replace(stock, on_hand=stock.on_hand + quantity, taken_back=stock.taken_back + quantity)
        case _:
            assert_never(event)
