"""How the API reads the three services: their streams and the gateway's books, and nothing else of them."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.config import ApiSettings
from api.reading import Reader, open_http
from contracts.audits import BarrierAudit, BookEntry, BookTotal
from contracts.faults import EnactedFault

ORDER, PAYMENT, SHIPPING = "order", "payment", "shipping"

_SAGAS_AT_ONCE = 100
"""How many a service takes in one question about a stream."""

T = TypeVar("T")


class Read(BaseModel):
    """A reading model takes what it knows and lets services add fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class StoredEvent(Read):
    position: int
    version: int
    type: str
    data: dict[str, Any] = Field(default_factory=dict)
    key: str | None = None
    """Of the command that led to it: `saga_id:step`."""
    command: str | None = None
    saga_id: str | None = None
    recorded_at: datetime


class BarrierEntry(Read):
    """A command that a service has taken, as its barrier remembers it."""

    key: str
    command: str
    phase: str
    outcome: str
    recorded_at: datetime
    position: int | None = None
    """Where the service's log ended when the entry was written; None from before that was kept."""


class Stream(Read):
    stream: str
    version: int
    state: dict[str, Any] | None = None
    events: tuple[StoredEvent, ...] = ()
    barrier: tuple[BarrierEntry, ...] = ()


class GatewayHold(Read):
    key: str
    state: str
    amount_minor: int
    """What was really held: 0 for a declined card."""


class GatewayCapture(Read):
    key: str
    amount_minor: int


class GatewayRefund(Read):
    key: str
    amount_minor: int
    """What was really paid back."""


class Books(Read):
    """The payment gateway's books about one order."""

    holds: tuple[GatewayHold, ...] = ()
    captures: tuple[GatewayCapture, ...] = ()
    refunds: tuple[GatewayRefund, ...] = ()


_STREAM, _BOOKS, _ENACTED = TypeAdapter(Stream), TypeAdapter(Books), TypeAdapter(list[EnactedFault])
_BARRIER, _TOTALS, _ENTRIES = TypeAdapter(BarrierAudit), TypeAdapter(list[BookTotal]), TypeAdapter(list[BookEntry])


class Services:
    """Reads all three. Safe to share between requests; close it with `close()`."""

    def __init__(self, settings: ApiSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = open_http(transport)
        self._audit_timeout_s = settings.audit_timeout_s
        urls = {ORDER: settings.order_url, PAYMENT: settings.payment_url, SHIPPING: settings.shipping_url}
        self._readers: Mapping[str, Reader] = MappingProxyType(
            {
                service: Reader(self._http, service, url, timeout_s=settings.service_timeout_s)
                for service, url in urls.items()
            }
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def stream(
        self, service: str, stream: str, *, sagas: Collection[str] | None = None, timeout_s: float | None = None
    ) -> Stream | None:
        """The stream with its state and barrier, or None where the service knows nothing of it.

        Args:
            sagas: whose events and barrier entries are wanted, of a stream that others change as well.

        Raises:
            ServiceUnreachable: no readable answer in time.
        """
        query = urlencode([("saga_id", saga_id) for saga_id in sagas or ()])
        path = f"/streams/{quote(stream, safe='')}" + (f"?{query}" if query else "")
        return await self._readers[service].read(path, _STREAM, timeout_s=timeout_s)

    async def streams(self, order_id: UUID) -> dict[str, Stream]:
        """What each service knows about the order, by service; those that know nothing are left out.

        Raises:
            ServiceUnreachable: one of them gave no readable answer in time.
        """
        found = await asyncio.gather(*(self.stream(service, str(order_id)) for service in self._readers))
        return {service: stream for service, stream in zip(self._readers, found, strict=True) if stream is not None}

    async def stock(self, sku: str, sagas: Collection[str]) -> Stream | None:
        """The stock of a SKU, with what these sagas moved of it, however many they are."""
        wanted = sorted(sagas)
        portions = [wanted[start : start + _SAGAS_AT_ONCE] for start in range(0, len(wanted), _SAGAS_AT_ONCE)]
        read = await asyncio.gather(*(self.stream(SHIPPING, f"stock-{sku}", sagas=portion) for portion in portions))
        found = [stream for stream in read if stream is not None]
        if not found:
            return None
        events = {event.position: event for stream in found for event in stream.events}
        return found[-1].model_copy(update={"events": tuple(events[position] for position in sorted(events))})

    async def gateway_books(self, order_id: UUID) -> Books | None:
        """What the payment gateway itself has on its books for the order, as the payment service relays it."""
        return await self._readers[PAYMENT].read(f"/gateway/books/{order_id}", _BOOKS)

    async def enacted_faults(self, saga_id: str) -> list[EnactedFault]:
        """What the services have enacted of a saga's faults.

        Raises:
            ServiceUnreachable: one of them gave no readable answer in time.
        """
        path = f"/faults/{quote(saga_id, safe='')}"

        async def enacted_at(reader: Reader) -> list[EnactedFault]:
            found = await reader.read(path, _ENACTED)
            return found or []

        found = await asyncio.gather(*map(enacted_at, self._readers.values()))
        return [one for enacted in found for one in enacted]

    async def barrier(self, service: str) -> BarrierAudit:
        """What the service itself says of all its compensations and fences, held to the events of its log."""
        return await self._audit_part(service, "/audit/barrier", _BARRIER)

    async def gateway_totals(self, prefix: str) -> list[BookTotal]:
        """The sums of the gateway's books over orders whose ids begin so, by the ids' next characters."""
        return await self._audit_part(PAYMENT, "/gateway/totals", _TOTALS, {"prefix": prefix})

    async def gateway_entries(self, prefix: str) -> list[BookEntry]:
        """The orders whose ids begin so, as the gateway's books have them."""
        return await self._audit_part(PAYMENT, "/gateway/entries", _ENTRIES, {"prefix": prefix})

    async def _audit_part(
        self, service: str, path: str, answer: TypeAdapter[T], params: Mapping[str, str] | None = None
    ) -> T:
        reader = self._readers[service]
        return reader.understand(await reader.ask(path, params, timeout_s=self._audit_timeout_s), answer)
