"""The API as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response

from api.config import ApiSettings
from api.endpoints import audit, events, faults, health, history, operations, order_list, orders, sagas, views
from api.order_sagas import OrderSagas
from api.query_side import Views
from api.reading import ServiceUnreachable
from api.services import Services
from api.temporal import SagaUnknown, Temporal, TemporalUnavailable
from api.web import problems
from api.web.middleware import Outermost
from api.web.openapi import openapi_of


def create_app(*, settings: ApiSettings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The application. It starts, and answers `/health/live`, whether or not Temporal is there.

    `transport` is how the services are reached, where that is not the network.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = Services(settings, transport)
        app.state.sagas = OrderSagas(settings, await Temporal.open(settings), services)
        app.state.views = Views(settings, transport)
        yield
        await services.close()
        await app.state.views.close()

    app = FastAPI(
        title="Amends",
        version="1",
        description="Order sagas on Temporal that make amends, and can prove it.",
        lifespan=lifespan,
        # A redirect to a path without its slash would lose the idempotency key on the way.
        redirect_slashes=False,
    )
    for module in (orders, order_list, operations, history, events, faults, audit, sagas, views, health):
        app.include_router(module.router)
    problems.install(app)

    async def answer_unavailable(_: Request, error: Exception) -> Response:
        code = "SERVICE_UNAVAILABLE" if isinstance(error, ServiceUnreachable) else "TEMPORAL_UNAVAILABLE"
        return problems.unavailable(code, str(error), settings.retry_after_s).response()

    async def answer_gone(_: Request, __: Exception) -> Response:
        # Between two questions its retention ended. The next time it is found to be forgotten.
        detail = "the saga was just removed from Temporal; ask again"
        return problems.unavailable("TEMPORAL_UNAVAILABLE", detail, settings.retry_after_s).response()

    app.add_exception_handler(TemporalUnavailable, answer_unavailable)
    app.add_exception_handler(SagaUnknown, answer_gone)
    app.add_exception_handler(ServiceUnreachable, answer_unavailable)
    app.add_middleware(Outermost, max_body_bytes=settings.max_body_bytes)
    # FastAPI's own way to change its document.
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    app.openapi_schema = app.openapi_schema or openapi_of(app)
    return app.openapi_schema
