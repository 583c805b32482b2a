"""Gathers from the services all that an audit of one saga looks at."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import chain

from api.audit.evidence import TAKEN, Evidence, placed_order, returns_in
from api.audit.service_events import Booked, events_of, told
from api.services import ORDER, PAYMENT, SHIPPING, Services, Stream
from contracts.sagas import SagaStatus, SagaView

StatusOf = Callable[[str], Awaitable[SagaStatus | None]]
"""What a return says that it is, by its saga's id; None if nobody knows it any more."""


async def gather(services: Services, view: SagaView, status_of_return: StatusOf) -> Evidence:
    """The evidence about a saga that claims what the view says.

    Raises:
        ServiceUnreachable: a service gave no readable answer in time.
        UnreadableEvent: a service's event does not say what it must.
    """
    evidence = await _look(services, view)
    others = returns_in(evidence) - {view.saga_id}
    if others:
        # Again first what they claim, then what there is to see: what they do in between is no lie of anybody's.
        returns = {saga_id: await status_of_return(saga_id) for saga_id in sorted(others)}
        evidence = await _look(services, view)
        late = returns_in(evidence) - {view.saga_id, *others}
        evidence = replace(evidence, returns=returns | dict.fromkeys(sorted(late), SagaStatus.RUNNING))
    return replace(evidence, stock=await _stock(services, evidence))


async def _look(services: Services, view: SagaView) -> Evidence:
    streams, books = await asyncio.gather(services.streams(view.order_id), services.gateway_books(view.order_id))
    return Evidence(
        order_id=str(view.order_id),
        saga_id=view.saga_id,
        status=view.status,
        residue=view.residue,
        order=streams.get(ORDER),
        payment=streams.get(PAYMENT),
        shipping=streams.get(SHIPPING),
        gateway=books,
    )


async def _stock(services: Services, evidence: Evidence) -> dict[str, Stream]:
    """The stock of everything that was ordered, requested or booked, and what the order's sagas moved of it."""
    placed = placed_order(evidence)
    booked = (told(event, Booked).by_sku for event in events_of(evidence.shipping, *TAKEN))
    skus = sorted({*(placed.units if placed else ()), *chain.from_iterable(booked)})
    # Nothing moves stock but along with a shipment.
    acted = (event.saga_id for event in (evidence.shipping.events if evidence.shipping else ()))
    sagas = sorted({evidence.saga_id, *filter(None, acted)})
    streams = await asyncio.gather(*(services.stock(sku, sagas) for sku in skus))
    return {sku: stream for sku, stream in zip(skus, streams, strict=True) if stream is not None}
