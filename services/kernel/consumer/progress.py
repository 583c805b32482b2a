"""How far behind a consumer is: in its health, and as metrics. Asked of the logs at the moment of the question."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel
from sqlmodel import Session
from starlette.responses import Response

from messaging.feed import Feeds, LogReplaced
from messaging.port import Cursor, NotNow, Taker
from services.kernel.consumer.cursors import cursor_at
from services.kernel.consumer.generations import active_generation
from services.kernel.consumer.read_model import ReadModel
from services.kernel.consumer.set_aside import parked_streams
from services.kernel.database import Database

if TYPE_CHECKING:
    from services.kernel.consumer.app import Following

STANDING_BY = "standing by"
_ASK_WITHIN_S = 1.0


class SourceProgress(BaseModel):
    position: int
    head: int | None
    """Of the service's log; null if it cannot be reached."""
    lag: int | None
    """How many positions behind; there may be fewer events, since positions have gaps."""


class Progress(BaseModel):
    status: str
    """`ready`, `catching up`, `failing`, or `standing by` while another process is at work. In all of them what was
    taken so far is served."""
    consumer: str
    failure: str | None
    generation: int
    rebuilding: bool
    parked_streams: int
    sources: dict[str, SourceProgress]


def progress_routes(
    database: Database,
    taker: Taker,
    feeds: Feeds,
    following: "Following",
    is_active: Callable[[], bool],
    *,
    expose: Callable[[CollectorRegistry], Awaitable[None]] | None = None,
) -> APIRouter:
    router = APIRouter(tags=["health"])

    async def progress() -> Progress:
        generation, parked, cursors = await database.read(lambda session: _stored(session, taker.services))
        found = await asyncio.gather(*(_of_source(feeds, service, cursor) for service, cursor in cursors.items()))
        sources = dict(zip(cursors, found, strict=True))
        failure = following.failure or (taker.failure if isinstance(taker, ReadModel) else None)
        return Progress(
            status=_status(failure, sources) if is_active() else STANDING_BY,
            consumer=taker.name,
            failure=failure,
            generation=generation,
            rebuilding=isinstance(taker, ReadModel) and taker.is_rebuilding,
            parked_streams=parked,
            sources=sources,
        )

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "live"}

    @router.get("/health/ready")
    async def ready() -> Progress:
        """Whether its database answers, and how far it is behind each log."""
        return await progress()

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """The same for Prometheus."""
        registry = CollectorRegistry()
        _expose(await progress(), registry)
        if expose:
            await expose(registry)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _stored(session: Session, services: Sequence[str]) -> tuple[int, int, dict[str, Cursor]]:
    generation = active_generation(session)
    cursors = {service: cursor_at(session, generation, service) for service in services}
    return generation, len(parked_streams(session, generation)), cursors


async def _of_source(feeds: Feeds, service: str, cursor: Cursor) -> SourceProgress:
    try:
        async with asyncio.timeout(_ASK_WITHIN_S):
            head = (await feeds.of(service).read(cursor, limit=1)).head
    except (NotNow, LogReplaced, TimeoutError):
        head = None
    lag = None if head is None else max(0, head - cursor.position)
    return SourceProgress(position=cursor.position, head=head, lag=lag)


def _status(failure: str | None, sources: dict[str, SourceProgress]) -> str:
    if failure is not None:
        return "failing"
    return "ready" if all(source.lag == 0 for source in sources.values()) else "catching up"


def _expose(progress: Progress, registry: CollectorRegistry) -> None:
    of_source = ["consumer", "source"]
    position = Gauge("amends_consumer_position", "Position up to which events were taken", of_source, registry=registry)
    lag = Gauge("amends_consumer_lag", "Positions behind the log's head", of_source, registry=registry)
    reachable = Gauge("amends_consumer_log_reachable", "Whether the log answers", of_source, registry=registry)
    parked = Gauge(
        "amends_consumer_parked_streams", "Streams that wait for an operator", ["consumer"], registry=registry
    )
    failing = Gauge("amends_consumer_failing", "Whether following fails", ["consumer"], registry=registry)
    for service, source in progress.sources.items():
        position.labels(progress.consumer, service).set(source.position)
        reachable.labels(progress.consumer, service).set(source.head is not None)
        if source.lag is not None:
            lag.labels(progress.consumer, service).set(source.lag)
    parked.labels(progress.consumer).set(progress.parked_streams)
    failing.labels(progress.consumer).set(progress.failure is not None)
