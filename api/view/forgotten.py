"""What can still be said of an order when Temporal has forgotten its saga: what the order's own stream tells.

Temporal keeps a closed workflow for its retention time; the order service keeps its stream for ever.
"""

from typing import Any
from uuid import UUID

from api.services import Read, Stream
from contracts.orders import Line as OrderLine
from contracts.orders import Order, total_minor
from contracts.sagas import Cause, Links, SagaStatus, SagaView
from workflows.names import saga_id_of

PLACED, REJECTED, CONFIRMED = "OrderPlaced", "OrderRejected", "OrderConfirmed"


class PlacedOrder(Read):
    """What the order service was told when the order was placed."""

    customer_id: str = ""
    currency: str = ""
    lines: tuple[OrderLine, ...] = ()

    @property
    def total_minor(self) -> int:
        return total_minor(self.lines)


def placed_in(stream: Stream) -> PlacedOrder | None:
    """None where the order was never placed."""
    placed = _data(stream, PLACED)
    return None if placed is None else PlacedOrder.model_validate(placed)


def is_same_order(order: Order, stream: Stream) -> bool:
    """Whether the stream began with this order. Who pays how, and where it goes, the order service never knew."""
    placed = placed_in(stream)
    if placed is None:
        return True
    return (placed.customer_id, placed.currency, placed.lines) == (order.customer_id, order.currency, order.lines)


def archived_view(order_id: UUID, stream: Stream, links: Links) -> SagaView | None:
    """The view without steps, or None where the order was never placed: there is nothing to tell then."""
    placed = placed_in(stream)
    if placed is None:
        return None
    # Events of a return that followed are of another saga.
    events = [event for event in stream.events if event.saga_id == saga_id_of(order_id)] or stream.events
    types = {event.type for event in events}
    status = (
        SagaStatus.COMPLETED
        if CONFIRMED in types
        else SagaStatus.COMPENSATED
        if REJECTED in types
        else SagaStatus.TERMINATED
    )
    cause = (_data(stream, REJECTED) or {}).get("cause")
    return SagaView(
        order_id=order_id,
        saga_id=saga_id_of(order_id),
        status=status,
        cause=Cause(cause) if cause in set(Cause) else None,
        total_minor=placed.total_minor,
        currency=placed.currency,
        steps=(),
        started_at=events[0].recorded_at,
        ended_at=events[-1].recorded_at,
        links=links,
    )


def _data(stream: Stream, event_type: str) -> dict[str, Any] | None:
    return next((event.data for event in stream.events if event.type == event_type), None)
