"""How the API reads the three services: their streams and the gateway's books, and nothing else of them."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.config import ApiSettings

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


class ServiceUnreachable(Exception):
    """A service did not answer, or not readably."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"the {service} service {why}")
        self.service = service


Model = TypeVar("Model", bound=BaseModel)


_LIMITS = httpx.Limits(keepalive_expiry=3.0)
"""Servers close idle connections after 5 s; ours go first."""


class Services:
    """Reads all three. Safe to share between requests; close it with `close()`."""

    def __init__(self, settings: ApiSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._urls: Mapping[str, str] = MappingProxyType(
            {ORDER: settings.order_url, PAYMENT: settings.payment_url, SHIPPING: settings.shipping_url}
        )
        self._timeout_s = settings.service_timeout_s
        self._http = httpx.AsyncClient(trust_env=False, transport=transport, limits=_LIMITS)

    async def close(self) -> None:
        await self._http.aclose()

    async def stream(self, service: str, stream: str, *, timeout_s: float | None = None) -> Stream | None:
        """The stream with its state and barrier, or None where the service knows nothing of it.

        Raises:
            ServiceUnreachable: no readable answer in time.
        """
        return await self._get(service, f"/streams/{quote(stream, safe='')}", Stream, timeout_s)

    async def streams(self, order_id: UUID) -> dict[str, Stream]:
        """What each service knows about the order, by service; those that know nothing are left out.

        Raises:
            ServiceUnreachable: one of them gave no readable answer in time.
        """
        found = await asyncio.gather(*(self.stream(service, str(order_id)) for service in self._urls))
        return {service: stream for service, stream in zip(self._urls, found, strict=True) if stream is not None}

    async def stock(self, sku: str) -> Stream | None:
        return await self.stream(SHIPPING, f"stock-{sku}")

    async def gateway_books(self, order_id: UUID) -> Books | None:
        """What the payment gateway itself has on its books for the order, as the payment service relays it."""
        return await self._get(PAYMENT, f"/gateway/books/{order_id}", Books, None)

    async def _get(self, service: str, path: str, model: type[Model], timeout_s: float | None) -> Model | None:
        url = self._urls[service].rstrip("/") + path
        try:
            try:
                response = await self._http.get(url, timeout=timeout_s or self._timeout_s)
            except httpx.RemoteProtocolError:
                # The service closed an idle connection just when it was taken up again. Reading twice is harmless.
                response = await self._http.get(url, timeout=timeout_s or self._timeout_s)
        except httpx.TimeoutException:
            raise ServiceUnreachable(service, "did not answer in time") from None
        except httpx.TransportError as error:
            raise ServiceUnreachable(service, "cannot be reached") from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code != httpx.codes.OK:
            raise ServiceUnreachable(service, f"answered {response.status_code}")
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ServiceUnreachable(service, "sent an unreadable answer") from error
