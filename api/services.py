"""How the API reads the three services: their streams and the gateway's books, and nothing else of them."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api.config import ApiSettings
from api.reading import Reader, open_http

ORDER, PAYMENT, SHIPPING = "order", "payment", "shipping"


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


class Books(Read):
    """The payment gateway's books about one order."""

    holds: tuple[GatewayHold, ...] = ()
    captures: tuple[GatewayCapture, ...] = ()


_STREAM, _BOOKS = TypeAdapter(Stream), TypeAdapter(Books)


class Services:
    """Reads all three. Safe to share between requests; close it with `close()`."""

    def __init__(self, settings: ApiSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = open_http(transport)
        urls = {ORDER: settings.order_url, PAYMENT: settings.payment_url, SHIPPING: settings.shipping_url}
        self._readers: Mapping[str, Reader] = MappingProxyType(
            {
                service: Reader(self._http, service, url, timeout_s=settings.service_timeout_s)
                for service, url in urls.items()
            }
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def stream(self, service: str, stream: str, *, timeout_s: float | None = None) -> Stream | None:
        """The stream with its state and barrier, or None where the service knows nothing of it.

        Raises:
            ServiceUnreachable: no readable answer in time.
        """
        path = f"/streams/{quote(stream, safe='')}"
        return await self._readers[service].read(path, _STREAM, timeout_s=timeout_s)

    async def streams(self, order_id: UUID) -> dict[str, Stream]:
        """What each service knows about the order, by service; those that know nothing are left out.

        Raises:
            ServiceUnreachable: one of them gave no readable answer in time.
        """
        found = await asyncio.gather(*(self.stream(service, str(order_id)) for service in self._readers))
        return {service: stream for service, stream in zip(self._readers, found, strict=True) if stream is not None}

    async def stock(self, sku: str) -> Stream | None:
        return await self.stream(SHIPPING, f"stock-{sku}")

    async def gateway_books(self, order_id: UUID) -> Books | None:
        """What the payment gateway itself has on its books for the order, as the payment service relays it."""
        return await self._readers[PAYMENT].read(f"/gateway/books/{order_id}", _BOOKS)
