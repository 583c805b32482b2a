"""How the API reads a service over HTTP, whichever it is: in time and readably, or not at all."""

from collections.abc import Mapping
from typing import TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

_LIMITS = httpx.Limits(keepalive_expiry=3.0)
"""Servers close idle connections after 5 s; ours go first."""


class ServiceUnreachable(Exception):
    """A service did not answer, or not readably."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"the {service} service {why}")
        self.service = service


def open_http(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, transport=transport, limits=_LIMITS)


class Reader:
    """Reads one service. Safe to share between requests."""

    def __init__(self, http: httpx.AsyncClient, service: str, url: str, *, timeout_s: float) -> None:
        self._http = http
        self._service = service
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    async def read(
        self,
        path: str,
        answer: TypeAdapter[T],
        params: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> T | None:
        """What is there, or None where nothing is.

        Raises:
            ServiceUnreachable: no readable answer in time.
        """
        response = await self.ask(path, params, timeout_s=timeout_s)
        return None if response.status_code == httpx.codes.NOT_FOUND else self.understand(response, answer)

    async def ask(
        self, path: str, params: Mapping[str, str] | None = None, *, timeout_s: float | None = None
    ) -> httpx.Response:
        """Whatever the service answers.

        Raises:
            ServiceUnreachable: nothing, in time.
        """
        url, within_s = self._url + path, timeout_s or self._timeout_s
        try:
            try:
                return await self._http.get(url, params=params, timeout=within_s)
            except httpx.RemoteProtocolError:
                # The service closed an idle connection just when it was taken up again. Reading twice is harmless.
                return await self._http.get(url, params=params, timeout=within_s)
        except httpx.TimeoutException:
            raise ServiceUnreachable(self._service, "did not answer in time") from None
        except httpx.TransportError as error:
            raise ServiceUnreachable(self._service, "cannot be reached") from error

    def understand(self, response: httpx.Response, answer: TypeAdapter[T]) -> T:
        """What a good answer says. A service may add fields; they are left out.

        Raises:
            ServiceUnreachable: it is no good answer, or not readable.
        """
        if response.status_code != httpx.codes.OK:
            raise ServiceUnreachable(self._service, f"answered {response.status_code}")
        try:
            return answer.validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise ServiceUnreachable(self._service, "sent an unreadable answer") from error
