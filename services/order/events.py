"""The facts of an order's life."""

from dataclasses import dataclass

from contracts.orders import Line
from contracts.sagas import Cause


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """The order is pending: nobody but its saga may change it from now on."""

    saga_id: str
    customer_id: str
    currency: str
    lines: tuple[Line, ...]
    total_minor: int


@dataclass(frozen=True, slots=True)
class OrderRejected:
    cause: Cause


@dataclass(frozen=True, slots=True)
class OrderConfirmed:
    pass


@dataclass(frozen=True, slots=True)
class ReturnOpened:
    """A return is under way: nobody but its saga may change the order from now on."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class ReturnWithdrawn:
    pass


@dataclass(frozen=True, slots=True)
class OrderReturned:
    pass


OrderEvent = OrderPlaced | OrderRejected | OrderConfirmed | ReturnOpened | ReturnWithdrawn | OrderReturned
ORDER_EVENTS = (OrderPlaced, OrderRejected, OrderConfirmed, ReturnOpened, ReturnWithdrawn, OrderReturned)
