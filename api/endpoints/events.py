"""What the services themselves recorded about an order."""

from uuid import UUID

from fastapi import APIRouter

from api.services import StoredEvent
from api.web.problem_codes import documented
from api.web.requests import OrderId, Sagas
from contracts.base import Contract

router = APIRouter(tags=["orders"])


class ServiceEvent(StoredEvent):
    service: str
    stream: str


class OrderEvents(Contract):
    order_id: UUID
    events: tuple[ServiceEvent, ...]


@router.get(
    "/orders/{order_id}/events",
    responses=documented("ORDER_NOT_FOUND", "TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"),
)
async def show_events(order_id: OrderId, sagas: Sagas) -> OrderEvents:
    """Show the stored events of all services about an order, in the order of their recording."""
    streams = await sagas.services.streams(order_id)
    if not streams:
        # Known to Temporal at least? An order may have no events yet.
        await sagas.snapshot(order_id)
    events = [
        ServiceEvent(service=service, stream=stream.stream, **event.model_dump())
        for service, stream in streams.items()
        for event in stream.events
    ]
    events.sort(key=lambda event: (event.recorded_at, event.service, event.position))
    return OrderEvents(order_id=order_id, events=tuple(events))
