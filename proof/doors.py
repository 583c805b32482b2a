"""A running system as the proof sees it: its API, over HTTP, and nothing else."""

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from contracts.audits import SystemAudit
from contracts.sagas import Decision, DefinitionView, HistoryEntry, HistoryPage, SagaView
from contracts.wire import IDEMPOTENCY_KEY_HEADER
from proof.errors import CannotProve

T = TypeVar("T")

_PATIENCE_S = 60.0
"""How long a request is repeated that nobody answers, or that is answered with 503."""
_PAUSE_S = 0.3
_ANSWER_WITHIN_S = 20.0
_AUDIT_WITHIN_S = 60.0


class Verdict(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    invariant: str
    holds: bool
    evidence: tuple[str, ...] = ()


class Audit(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    clean: bool
    verdicts: tuple[Verdict, ...]


class Enacted(BaseModel):
    """A fault of a saga's plan, and how often it was enacted."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str
    enacted: int


class Stock(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    received: int
    on_hand: int
    dispatched: int


_STOCK = TypeAdapter(Stock)
_EVERYTHING = TypeAdapter(SystemAudit)
_VIEW, _AUDIT = TypeAdapter(SagaView), TypeAdapter(Audit)
_ENACTED, _DEFINITION = TypeAdapter(tuple[Enacted, ...]), TypeAdapter(DefinitionView)
_PAGE: TypeAdapter[HistoryPage] = TypeAdapter(HistoryPage)


class Doors:
    """Drives a system's API. Safe to share between tasks; a context manager.

    All methods insist: a request without an answer, or with 503, is sent again, with the same key.

    Raises:
        CannotProve: nobody has answered for a minute, or the answer is not understood.
    """

    def __init__(self, api_url: str) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=3.0)
        self._http = httpx.AsyncClient(base_url=api_url, trust_env=False, limits=limits, timeout=_ANSWER_WITHIN_S)
        self._url = api_url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def definition(self, path: str) -> DefinitionView:
        return _read(await self._insist("GET", path), _DEFINITION)

    async def start(self, path: str, body: Mapping[str, Any], *, key: str, wait_s: int = 0) -> SagaView:
        """Starts a saga, or finds it under its key, and waits for its end, but not longer than that."""
        headers = {IDEMPOTENCY_KEY_HEADER: key} | ({"Prefer": f"wait={wait_s}"} if wait_s else {})
        timeout_s = _ANSWER_WITHIN_S + wait_s
        return _read(await self._insist("POST", path, json=body, headers=headers, timeout=timeout_s), _VIEW)

    async def view(self, saga: SagaView) -> SagaView:
        return _read(await self._insist("GET", saga.links.self), _VIEW)

    async def story(self, saga: SagaView) -> list[HistoryEntry]:
        entries: list[HistoryEntry] = []
        page: str | None = f"{saga.links.history}?limit=1000"
        while page is not None:
            read = _read(await self._insist("GET", page), _PAGE)
            entries.extend(read.entries)
            page = read.next
        return entries

    async def temporal_history(self, saga: SagaView) -> str:
        """As JSON, for a replay."""
        return (await self._insist("GET", f"{saga.links.history}?format=temporal")).text

    async def enacted(self, saga: SagaView) -> tuple[Enacted, ...]:
        return _read(await self._insist("GET", f"{saga.links.self}/faults"), _ENACTED)

    async def audit(self, saga: SagaView) -> Audit:
        return _read(await self._insist("GET", f"{saga.links.self}/audit"), _AUDIT)

    async def cancel(self, saga: SagaView) -> int:
        """The answer's status: 202, or 409 where it is too late."""
        return (await self._insist("POST", f"{saga.links.self}/cancel", accept=(202, 409))).status_code

    async def decide(self, saga: SagaView, decision: Decision, *, key: str) -> int:
        """The answer's status: 202, or 409 where it makes no sense (any more)."""
        path, headers = f"{saga.links.self}/decisions", {IDEMPOTENCY_KEY_HEADER: key}
        body = decision.model_dump(mode="json")
        return (await self._insist("POST", path, json=body, headers=headers, accept=(202, 409))).status_code

    async def audit_of_everything(self) -> SystemAudit:
        return _read(await self._insist("GET", "/audit", timeout=_AUDIT_WITHIN_S), _EVERYTHING)

    async def stock(self, sku: str) -> Stock | None:
        """As the query side knows it, None if not yet."""
        response = await self._insist("GET", f"/stock/{sku}", accept=(200, 404))
        return None if response.status_code == httpx.codes.NOT_FOUND else _read(response, _STOCK)

    async def _insist(
        self, method: str, path: str, *, accept: tuple[int, ...] = (200, 202), **request: Any
    ) -> httpx.Response:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            why = "did not answer"
            try:
                response = await self._http.request(method, path, **request)
            except httpx.TransportError as error:
                why = f"cannot be reached ({type(error).__name__})"
            else:
                if response.status_code in accept:
                    return response
                why = f"answered {response.status_code}: {response.text[:500]}"
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    raise CannotProve(f"{method} {path}: the API {why}")
            if time.monotonic() > deadline:
                raise CannotProve(f"{method} {path}: the API at {self._url} {why}")
            await asyncio.sleep(_PAUSE_S)


def _read(response: httpx.Response, answer: TypeAdapter[T]) -> T:
    try:
        return answer.validate_json(response.content, extra="ignore")
    except ValidationError as error:
        raise CannotProve(f"{response.request.url.path}: the API's answer is not understood: {error}") from error
