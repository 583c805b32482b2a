"""What all services together tell of one order, folded from their events. Pure: no I/O, no framework.

Guarantee: only the order of each service's own events matters, never how the services' events interleave. Each service
has fields of its own here, and none of them is read to decide about another's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from contracts.events import (
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentExpired,
    PaymentRefunded,
    PaymentVoided,
    PublicEvent,
    ReturnOpened,
    ReturnWithdrawn,
    ShipmentBooked,
    ShipmentBookingRefused,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRecallCancelled,
    ShipmentRecalled,
    ShipmentReturned,
)
from contracts.sagas import Cause
from contracts.views import OrderStatus, OrderView, ShipmentStatus, Transition
from services.views.errors import UnbookableEvent
from services.views.facts import LifeFact, PaymentFact, fact_of, is_of_life


class HoldStatus(StrEnum):
    HELD = "held"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Hold:
    """One authorization: an amount that was held, and what became of it."""

    amount_minor: int
    currency: str
    status: HoldStatus = HoldStatus.HELD
    refunded_minor: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """What OrderPlaced tells, which other services' events may overtake."""

    saga_id: str
    customer_id: str
    currency: str
    total_minor: int
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderState:
    placed: Placed | None = None
    status: OrderStatus = OrderStatus.PENDING
    cause: Cause | None = None
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """By authorization."""
    shipment: ShipmentStatus = ShipmentStatus.NONE


def evolve(state: OrderState, event: PublicEvent, fact: LifeFact) -> OrderState:
    """The state after an event, and what it says.

    Raises:
        UnbookableEvent: it cannot follow on this state.
    """
    match fact:
        case OrderPlaced():
            return replace(state, placed=_placed(event, fact))
        case OrderConfirmed():
            return replace(state, status=OrderStatus.CONFIRMED)
        case OrderRejected():
            return replace(state, status=OrderStatus.REJECTED, cause=fact.cause)
        case ReturnOpened() | ReturnWithdrawn():
            return state  # it is confirmed all the while
        case OrderReturned():
            return replace(state, status=OrderStatus.RETURNED)
        case PaymentAuthorized() | PaymentVoided() | PaymentExpired() | PaymentCaptured() | PaymentRefunded():
            return replace(state, holds={**state.holds, fact.authorization: _hold(state, event, fact)})
        case ShipmentBooked():
            return replace(state, shipment=ShipmentStatus.BOOKED)
        case ShipmentBookingRefused():
            return replace(state, shipment=ShipmentStatus.NONE)
        case ShipmentCancelled():
            return replace(state, shipment=ShipmentStatus.CANCELLED)
        case ShipmentDispatched() | ShipmentRecallCancelled():
            return replace(state, shipment=ShipmentStatus.DISPATCHED)
        case ShipmentRecalled():
            return replace(state, shipment=ShipmentStatus.RECALLED)
        case ShipmentReturned():
            return replace(state, shipment=ShipmentStatus.RETURNED)
        case _:
            assert_never(fact)


def fold(events: Iterable[PublicEvent]) -> OrderState:
    """The state after an order's events, those of each service in the order of its log."""
    state = OrderState()
    for event in events:
        fact = fact_of(event)
        if isinstance(fact, LifeFact):
            state = evolve(state, event, fact)
    return state


def view_of(order_id: str, state: OrderState, transitions: Iterable[Transition]) -> OrderView | None:
    """None while it is not known to be placed."""
    placed = state.placed
    if placed is None:
        return None
    return OrderView(
        order_id=UUID(order_id),
        saga_id=placed.saga_id,
        customer_id=placed.customer_id,
        status=state.status,
        cause=state.cause,
        currency=placed.currency,
        total_minor=placed.total_minor,
        authorized_minor=sum(hold.amount_minor for hold in state.holds.values()),
        captured_minor=_sum_of(state, HoldStatus.CAPTURED),
        voided_minor=_sum_of(state, HoldStatus.VOIDED),
        expired_minor=_sum_of(state, HoldStatus.EXPIRED),
        refunded_minor=sum(hold.refunded_minor for hold in state.holds.values()),
        shipment=state.shipment,
        placed_at=placed.at,
        transitions=tuple(transitions),
    )


def transition_of(service: str, event_type: str, at: datetime) -> Transition | None:
    """None for an event that is not about the order's life."""
    return Transition(event=event_type, at=at) if is_of_life(service, event_type) else None


def _placed(event: PublicEvent, fact: OrderPlaced) -> Placed:
    if event.sagaid is None:
        raise UnbookableEvent(event, "a saga that placed the order, got none")
    return Placed(event.sagaid, fact.customer_id, fact.currency, fact.total_minor, event.time)


def _hold(state: OrderState, event: PublicEvent, fact: PaymentFact) -> Hold:
    hold = state.holds.get(fact.authorization)
    if isinstance(fact, PaymentAuthorized):
        if hold is not None:
            raise UnbookableEvent(event, f"a new authorization, {fact.authorization} is {hold.status}")
        return Hold(fact.amount_minor, fact.currency)
    if isinstance(fact, PaymentRefunded):
        if hold is None or hold.status is not HoldStatus.CAPTURED or hold.refunded_minor:
            found = ("refunded" if hold.refunded_minor else hold.status) if hold else "unknown"
            raise UnbookableEvent(event, f"a captured authorization, {fact.authorization} is {found}")
        return replace(hold, refunded_minor=fact.amount_minor)
    if hold is None or hold.status is not HoldStatus.HELD:
        found = hold.status if hold else "unknown"
        raise UnbookableEvent(event, f"a held authorization, {fact.authorization} is {found}")
    return replace(hold, status=_settled_by(fact))


def _settled_by(fact: PaymentVoided | PaymentExpired | PaymentCaptured) -> HoldStatus:
    match fact:
        case PaymentVoided():
            return HoldStatus.VOIDED
        case PaymentExpired():
            return HoldStatus.EXPIRED
        case PaymentCaptured():
            return HoldStatus.CAPTURED
        case _:
            assert_never(fact)


def _sum_of(state: OrderState, status: HoldStatus) -> int:
    return sum(hold.amount_minor for hold in state.holds.values() if hold.status is status)
