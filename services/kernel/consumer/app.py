"""Makes a process out of a consumer: it follows its transport, says how far it is, and takes operators' commands.

Guarantees: while a log, a broker or its database is away the process lives, serves what it has, and tells so; when they
are back it goes on by itself. Any number may run: one is at work, the others serve what is there, and stand by.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.responses import Response

from contracts.wire import STANDING_BY, Problem
from messaging.feed import Feeds
from messaging.port import DeadLetters, NotNow, Taker, Transport
from services.kernel import problems
from services.kernel.consumer.active import Active
from services.kernel.consumer.consumer import Consumer
from services.kernel.consumer.operator_routes import dead_letter_routes, rebuild_route
from services.kernel.consumer.progress import progress_routes
from services.kernel.consumer.read_model import ReadModel
from services.kernel.database import Database
from services.kernel.errors import TryLater
from services.kernel.keeping_up import kept_up

_PAUSE_S = 1.0
"""Before following is taken up again after an error that nobody expected."""
_FAILING_S = 10.0
"""For how long after such an error a consumer says that it fails."""


@dataclass(frozen=True)
class ConsumerProcess:
    """What makes a consumer's process different from the others. Of several of each, one is at work."""

    taker: Taker
    database: Database
    transport: Transport
    feeds: Feeds
    dead_letters: DeadLetters | None = None
    """None for one that parks nothing, as a forwarder does."""
    routers: Sequence[APIRouter] = ()
    alongside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    """What runs beside it while it is at work, cancelled then."""
    expose: Callable[[CollectorRegistry], Awaitable[None]] | None = None
    """Adds metrics of its own to those of every consumer."""
    on_stop: Callable[[], Awaitable[None]] | None = None


def create_consumer_app(process: ConsumerProcess) -> FastAPI:
    """The consumer as an ASGI app. It reads no environment, and touches its database only when it is started.

    The database's tables must be there by then (services/kernel/schema.py).
    """
    taker = process.taker
    following = Following(process.transport, taker)

    async def begin() -> None:
        if isinstance(taker, ReadModel):
            await taker.open()

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for run in (following.run, *map(kept_up, process.alongside)):
                group.create_task(run())

    async def end() -> None:
        if isinstance(taker, ReadModel):
            await taker.close()

    active = Active(taker.name, process.database.sole_lock(), begin=begin, work=work, end=end)

    def require_active() -> None:
        if not active.is_active:
            raise TryLater(STANDING_BY, "another process of this consumer is at work; ask again, it may answer then")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(active.run())
        await active.looked()
        yield
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        if process.on_stop:
            await process.on_stop()
        process.database.close()

    errors: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem}, "5XX": {"model": Problem}}
    app = FastAPI(title=f"Amends: {taker.name}", lifespan=lifespan, responses=errors, redirect_slashes=False)
    problems.install(app)
    app.add_exception_handler(NotNow, _not_now)
    app.include_router(
        progress_routes(
            process.database, taker, process.feeds, following, lambda: active.is_active, expose=process.expose
        )
    )
    if process.dead_letters:
        letters = dead_letter_routes(lambda: _consumer(taker), process.dead_letters)
        app.include_router(letters, dependencies=[Depends(require_active)])
    if isinstance(taker, ReadModel):
        app.include_router(rebuild_route(taker), dependencies=[Depends(require_active)])
    for router in process.routers:
        app.include_router(router)
    return app


class Following:
    """Follows the transport, and takes it up again after whatever error."""

    def __init__(self, transport: Transport, taker: Taker) -> None:
        self._transport = transport
        self._taker = taker
        self._failure: tuple[float, str] | None = None

    @property
    def failure(self) -> str | None:
        """What went wrong a moment ago, if anything."""
        if self._failure is None or time.monotonic() - self._failure[0] > _FAILING_S:
            return None
        return self._failure[1]

    async def run(self) -> None:
        log = structlog.get_logger().bind(consumer=self._taker.name)
        while True:
            try:
                await self._transport.follow(self._taker)
            except Exception as error:
                # A bug, or something that we never met. It shows in the health for as long as it comes back.
                log.exception("following failed")
                self._failure = time.monotonic(), f"{type(error).__name__}: {error}"
                await asyncio.sleep(_PAUSE_S)


def _consumer(taker: Taker) -> Consumer:
    if isinstance(taker, ReadModel):
        return taker.active
    assert isinstance(taker, Consumer)  # noqa: S101 - a forwarder parks nothing, and has no such routes
    return taker


async def _not_now(_: Request, error: Exception) -> Response:
    return problems.of(TryLater("NOT_NOW", str(error)))
