"""Makes a service out of its operations and aggregates: what all services have alike."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from contracts.base import Sought
from contracts.faults import EnactedFault
from contracts.wire import Problem
from services.kernel import event_log, problems
from services.kernel.aggregates import AnyAggregate
from services.kernel.barrier_audit import barrier_audit_routes
from services.kernel.command_routes import CommandRoutes
from services.kernel.database import Database
from services.kernel.event_feed import EventFeed
from services.kernel.event_log import Snapshots
from services.kernel.executor import Executor
from services.kernel.faults import FaultInjector, enacted
from services.kernel.keeping_up import kept_up, running
from services.kernel.limits import BodyLimit
from services.kernel.operations import AnyOperation
from services.kernel.streams import stream_routes

BODY_LIMIT_BYTES = 256 * 1024


@dataclass(frozen=True)
class Service:
    """What makes a service different from the others."""

    name: str
    database: Database
    operations: tuple[AnyOperation, ...]
    aggregates: tuple[AnyAggregate, ...]
    fault_injection: bool
    routers: tuple[APIRouter, ...] = ()
    on_start: Callable[[Executor], Awaitable[None]] | None = None
    """Awaited before the first request."""
    on_accepted: Callable[[], None] = lambda: None
    """Called when an action was accepted, and that is committed."""
    alongside: Callable[[Executor], Coroutine[Any, Any, None]] | None = None
    """What runs beside the requests: it concludes accepted actions. It is begun again whenever it fails."""
    on_stop: Callable[[], None] | None = None
    body_limit_bytes: int = BODY_LIMIT_BYTES


def create_service_app(service: Service) -> FastAPI:
    """The service as an ASGI app. It reads no environment, and touches its database only when it is started.

    The database's tables must be there by then (services/kernel/schema.py).
    Before it is shut down `app.state.drain()` is to be called, so that readers of its feed do not hold it up.
    """
    database = service.database
    feed = EventFeed(service.name, database, service.aggregates)
    snapshots = Snapshots()
    executor = Executor(database, snapshots, on_commit=feed.wake, on_accepted=service.on_accepted)
    metrics = CollectorRegistry()
    faults = FaultInjector(database, metrics, enabled=service.fault_injection)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.write(event_log.ensure_log_id)
        if service.on_start:
            await service.on_start(executor)
        beside = kept_up(partial(service.alongside, executor)) if service.alongside else None
        async with running(beside) if beside else nullcontext():
            yield
        database.close()
        if service.on_stop:
            service.on_stop()

    errors: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem}, "5XX": {"model": Problem}}
    app = FastAPI(title=f"Amends: {service.name} service", lifespan=lifespan, responses=errors, redirect_slashes=False)
    app.state.drain = feed.close
    problems.install(app)
    app.add_middleware(BodyLimit, limit_bytes=service.body_limit_bytes)
    app.include_router(CommandRoutes(service.name, executor, faults, metrics).router(service.operations))
    app.include_router(stream_routes(database, service.aggregates, snapshots))
    app.include_router(barrier_audit_routes(service.name, database, service.operations))
    app.include_router(feed.router())
    app.include_router(_enacted_faults(database))
    app.include_router(_health(database, metrics))
    for router in service.routers:
        app.include_router(router)
    _describe_commands(app, service.operations)
    return app


def _enacted_faults(database: Database) -> APIRouter:
    router = APIRouter(tags=["faults"])

    @router.get("/faults/{saga_id}")
    async def read_enacted(saga_id: Sought) -> list[EnactedFault]:
        """How often each fault of a saga's plan was enacted here."""
        return await database.read(lambda session: enacted(session, saga_id))

    return router


def _health(database: Database, registry: CollectorRegistry) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters since the process started, for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "live"}

    @router.get("/health/ready")
    async def ready() -> dict[str, str]:
        """Whether the service can do its work: its database answers."""
        return {"status": "ready", "log_id": await database.read(event_log.log_id)}

    return router


def _describe_commands(app: FastAPI, operations: tuple[AnyOperation, ...]) -> None:
    """Adds the commands to the OpenAPI document. FastAPI does not know them: their bodies are parsed by us."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            _, commands = models_json_schema(
                [(operation.command, "validation") for operation in operations],
                ref_template="#/components/schemas/{model}",
            )
            document["components"]["schemas"].update(commands["$defs"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
