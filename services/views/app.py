"""The query side: read models of all services' events. Nothing here is a source of truth; all can be built anew."""

from collections.abc import Mapping
from datetime import timedelta

from fastapi import FastAPI

from messaging.names import EXCHANGE
from messaging.transports import Wiring, wire
from services.kernel.consumer.app import ConsumerProcess, create_consumer_app
from services.kernel.consumer.dead_letters import TableOfDeadLetters
from services.kernel.consumer.read_model import ReadModel
from services.kernel.database import Database
from services.views import projection
from services.views.audit_routes import audit_routes
from services.views.routes import view_routes
from services.views.watch import GRACE_S, DriftWatch

NAME = "views"
SERVICES = ("order", "payment", "shipping")
"""Whose events the views are made of."""


def create_app(
    *,
    database_url: str,
    feed_urls: Mapping[str, str],
    rabbitmq_url: str | None = None,
    exchange: str = EXCHANGE,
    audit_grace_s: float = GRACE_S,
) -> FastAPI:
    """The views as an ASGI app. They follow the feeds, or with `rabbitmq_url` RabbitMQ.

    Args:
        audit_grace_s: how long an order may be left alone, before it is settled, until it counts as overdue.
    """
    database = Database(database_url)
    wired = wire(Wiring(feed_urls, rabbitmq_url, exchange), consumer=NAME)
    dead_letters = wired.dead_letters or TableOfDeadLetters(database)
    read_model = ReadModel(
        NAME,
        SERVICES,
        database=database,
        apply=projection.apply,
        forget=projection.forget,
        feeds=wired.feeds,
        dead_letters=dead_letters,
    )
    watch = DriftWatch(database, rebuild=read_model.start_rebuild, grace=timedelta(seconds=audit_grace_s))
    return create_consumer_app(
        ConsumerProcess(
            taker=read_model,
            database=database,
            transport=wired.transport,
            feeds=wired.feeds,
            dead_letters=dead_letters,
            routers=(view_routes(database), audit_routes(database, wired.feeds, SERVICES)),
            alongside=(watch.run,),
            expose=watch.expose,
            on_stop=wired.close,
        )
    )
