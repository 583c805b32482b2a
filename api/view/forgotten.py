"""What can still be said of an order when Temporal has forgotten its saga: what the order's own stream tells.

Temporal keeps a closed workflow for its retention time; the order service keeps its stream for ever.
"""

from typing import Any
from uuid import UUID

from api.services import Stream
from contracts.orders import Line as OrderLine
from contracts.orders import Order, total_minor
from contracts.sagas import Cause, Links, SagaStatus, SagaView
from workflows.names import saga_id_of

PLACED, REJECTED, CONFIRMED = "OrderPlaced", "OrderRejected", "OrderConfirmed"


def is_same_order(order: Order, stream: Stream) -> bool:
    """Whether the stream began with this order. Who pays how, and where it goes, the order service never knew."""
    placed = _data(stream, PLACED)
    if placed is None:
        return True
    return (
        placed.get("customer_id") == order.customer_id
        and placed.get("currency") == order.currency
        and _lines(placed) == order.lines
    )


def archived_view(order_id: UUID, stream: Stream, links: Links) -> SagaView | None:
    """The view without steps, or None where the order was never placed: there is nothing to tell then."""
    placed = _data(stream, PLACED)
    if placed is None:
        return None
    types = {event.type for event in stream.events}
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
        total_minor=total_minor(_lines(placed)),
        currency=str(placed.get("currency", "")),
        steps=(),
        started_at=stream.events[0].recorded_at,
        ended_at=stream.events[-1].recorded_at,
        links=links,
    )


def _data(stream: Stream, event_type: str) -> dict[str, Any] | None:
    return next((event.data for event in stream.events if event.type == event_type), None)


def _lines(placed: dict[str, Any]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine.model_validate(line) for line in placed.get("lines", ()))
