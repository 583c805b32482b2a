"""What the query side answers: read models that events have built. They lag behind what they are about, a little."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.base import Contract, Sought
from contracts.events import PublicEvent
from contracts.sagas import Cause


class OrderStatus(StrEnum):
    """Of an order, which is not its saga's: pending until the saga confirms or rejects it; a return
    saga may come later."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    RETURNED = "returned"


class ShipmentStatus(StrEnum):
    NONE = "none"
    BOOKED = "booked"
    CANCELLED = "cancelled"
    DISPATCHED = "dispatched"
    RECALLED = "recalled"
    """Dispatched, and to come back."""
    RETURNED = "returned"


class Transition(Contract):
    """One event of an order's life."""

    event: str
    """Its type, such as PaymentCaptured."""
    at: datetime


class OrderView(Contract):
    """An order as all services together tell of it."""

    order_id: UUID
    saga_id: str
    customer_id: str
    status: OrderStatus
    cause: Cause | None = None
    """Why it was rejected."""
    currency: str
    total_minor: int
    authorized_minor: int = 0
    captured_minor: int = 0
    voided_minor: int = 0
    expired_minor: int = 0
    refunded_minor: int = 0
    """Of what was captured."""
    shipment: ShipmentStatus = ShipmentStatus.NONE
    placed_at: datetime
    transitions: tuple[Transition, ...] = ()
    """In causal order."""


class OrderPage(Contract):
    orders: tuple[OrderView, ...]
    next: str | None = None
    """What to give as `after` for the next page; null on the last one."""


class OrderQuery(Contract):
    """Which orders to list, newest first."""

    status: OrderStatus | None = None
    cause: Cause | None = None
    customer: Annotated[Sought | None, Field(max_length=200)] = None
    placed_from: datetime | None = Field(default=None, alias="from")
    """Placed at this moment or later."""
    placed_to: datetime | None = Field(default=None, alias="to")
    """Placed before this moment."""
    after: Annotated[str | None, Field(max_length=200)] = None
    """The `next` of the page before."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class OrderEvents(Contract):
    order_id: UUID
    events: tuple[PublicEvent, ...]
    """In causal order: each service's in the order of its log, across services by their time."""


class StockView(Contract):
    """The stock of one SKU. Always: on hand + booked + dispatched - taken back = received."""

    sku: str
    received: int = 0
    on_hand: int = 0
    booked: int = 0
    dispatched: int = 0
    returned: int = 0
    """Units that were booked and came back. They are on hand again."""
    taken_back: int = 0
    """Units that were dispatched and came back. They are on hand again, and still count as dispatched."""


class MoneyView(Contract):
    """All payments of one currency, in minor units.

    Always: authorized = captured + voided + expired + held, and captured >= refunded.
    """

    currency: str
    authorized_minor: int = 0
    captured_minor: int = 0
    voided_minor: int = 0
    expired_minor: int = 0
    held_minor: int = 0
    refunded_minor: int = 0
    """Of what was captured."""
