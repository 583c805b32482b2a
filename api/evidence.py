"""What the services themselves say about an order: their events, and whether the invariants hold."""

import asyncio
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from uuid import UUID

from fastapi import APIRouter

from api.audit import Audit, audit
from api.desk import Desk
from api.findings import Booked, Evidence, UnreadableEvent, events_of, placed_order, told
from api.problems import documented
from api.requests import OrderId, TheDesk
from api.services import ORDER, PAYMENT, SHIPPING, ServiceUnreachable, StoredEvent, Stream
from contracts.base import Contract
from contracts.sagas import SagaView

router = APIRouter(tags=["orders"])


class ServiceEvent(StoredEvent):
    service: str
    stream: str


class OrderEvents(Contract):
    order_id: UUID
    events: tuple[ServiceEvent, ...]


@router.get(
    "/orders/{order_id}/events",
    responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
async def show_events(order_id: OrderId, desk: TheDesk) -> OrderEvents:
    """Show the stored events of all services about an order, in the order of their recording."""
    streams = await desk.services.streams(order_id)
    if not streams:
        # Known to Temporal at least? An order may have no events yet.
        await desk.snapshot(order_id)
    events = [
        ServiceEvent(service=service, stream=stream.stream, **event.model_dump())
        for service, stream in streams.items()
        for event in stream.events
    ]
    events.sort(key=lambda event: (event.recorded_at, event.service, event.position))
    return OrderEvents(order_id=order_id, events=tuple(events))


@router.get(
    "/orders/{order_id}/audit",
    responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
async def show_audit(order_id: OrderId, desk: TheDesk) -> Audit:
    """Judge an order by the services' own logs: do the invariants hold that its saga promises?"""
    # First what the saga claims, then what there is to see of it: never a claim about what came later.
    view = await desk.view(order_id)
    try:
        return audit(await _collect(desk, view))
    except UnreadableEvent as error:
        raise ServiceUnreachable(_service_of(error.event), f"has an unreadable event: {error}") from error


async def _collect(desk: Desk, view: SagaView) -> Evidence:
    streams, books = await asyncio.gather(
        desk.services.streams(view.order_id), desk.services.gateway_books(view.order_id)
    )
    evidence = Evidence(
        order_id=str(view.order_id),
        status=view.status,
        residue=view.residue,
        order=streams.get(ORDER),
        payment=streams.get(PAYMENT),
        shipping=streams.get(SHIPPING),
        gateway=books,
    )
    return replace(evidence, stock=await _stock(desk, evidence))


async def _stock(desk: Desk, evidence: Evidence) -> dict[str, Stream]:
    """The stock of everything that was ordered or booked."""
    placed = placed_order(evidence)
    booked = (told(event, Booked).by_sku for event in events_of(evidence.shipping, "ShipmentBooked"))
    skus = sorted({*(placed.units if placed else ()), *chain.from_iterable(booked)})
    streams = await asyncio.gather(*(desk.services.stock(sku) for sku in skus))
    return {sku: stream for sku, stream in zip(skus, streams, strict=True) if stream is not None}


def _service_of(event: StoredEvent) -> str:
    return next((service for service in (ORDER, PAYMENT) if event.type.lower().startswith(service)), SHIPPING)
