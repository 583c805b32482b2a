"""Gathers from the services all that an audit of one order looks at."""

import asyncio
from dataclasses import replace
from itertools import chain

from api.audit.evidence import TAKEN, Evidence, placed_order
from api.audit.service_events import Booked, events_of, told
from api.services import ORDER, PAYMENT, SHIPPING, Services, Stream
from contracts.sagas import SagaView


async def gather(services: Services, view: SagaView) -> Evidence:
    """The evidence about an order whose saga claims what the view says.

    Raises:
        ServiceUnreachable: a service gave no readable answer in time.
        UnreadableEvent: a service's event does not say what it must.
    """
    streams, books = await asyncio.gather(services.streams(view.order_id), services.gateway_books(view.order_id))
    evidence = Evidence(
        order_id=str(view.order_id),
        status=view.status,
        residue=view.residue,
        order=streams.get(ORDER),
        payment=streams.get(PAYMENT),
        shipping=streams.get(SHIPPING),
        gateway=books,
    )
    return replace(evidence, stock=await _stock(services, evidence))


async def _stock(services: Services, evidence: Evidence) -> dict[str, Stream]:
    """The stock of everything that was ordered, requested or booked."""
    placed = placed_order(evidence)
    booked = (told(event, Booked).by_sku for event in events_of(evidence.shipping, *TAKEN))
    skus = sorted({*(placed.units if placed else ()), *chain.from_iterable(booked)})
    streams = await asyncio.gather(*(services.stock(sku) for sku in skus))
    return {sku: stream for sku, stream in zip(skus, streams, strict=True) if stream is not None}
